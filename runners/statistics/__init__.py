"""Intervals: closed forms where they exist, the bootstrap over items or clusters elsewhere. All are 95 %."""
