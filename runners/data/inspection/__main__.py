"""`python -m runners.data.inspection MANIFEST OUT`: look at splits and print the report as JSON.

MANIFEST is JSON: {"splits": {name: [{name, path}]}}. Pictures of first items are written into the folder OUT. Runs in
a process of its own under limits, for it opens an organiser's files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from runners.data.inspection.report import inspect_splits


def main(manifest: Path, out: Path) -> None:
    """Print the report of the splits that the manifest names."""
    named = json.loads(manifest.read_text(encoding="utf-8"))["splits"]
    splits = {
        split: {str(file["name"]): Path(file["path"]) for file in files} for split, files in sorted(named.items())
    }
    json.dump(inspect_splits(splits, out), sys.stdout, ensure_ascii=True, allow_nan=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
