"""`python -m bench` (being written by a helper: bench/ is taken)."""
