"""Intake: what a participant sent is looked at before anything else touches it.

Runs as a process of its own (`python -m runners.intake`) under limits that the caller sets.
"""
