"""Metrics by pillar: one decorated function a file. See `runners.registry.metric`."""
