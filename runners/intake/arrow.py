"""Arrow without pandas: Arrow looks for it when it makes its first array, and that import takes longer than a check."""

from __future__ import annotations

import sys


class _NoPandas:
    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ImportError("intake has no use for pandas")


def without_pandas() -> None:
    """For the rest of this process, pandas cannot be imported."""
    sys.meta_path.insert(0, _NoPandas())
