"""What is in data splits that somebody brings: counts, gaps, first items, and what two splits share.

Nothing is declared yet when this runs: kind, classes and columns are found, not checked. Inputs are read in parts.
"""

from runners.data.inspection.report import inspect_splits

__all__ = ["inspect_splits"]
