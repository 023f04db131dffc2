"""Defences: one decorated function a file. See `runners.registry.defence`."""
