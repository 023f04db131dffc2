"""Attacks: one decorated function a file. See `runners.registry.attack`."""
