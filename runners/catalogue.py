"""Write the committed catalogue: `python -m runners.catalogue`.

The server and the client read `runners/spec/catalogue.json`; they never import a metric. A test
compares the file with the registry.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from runners import registry

PATH = Path(__file__).parent / "spec" / "catalogue.json"


def text() -> str:
    """The catalogue of the built-in metrics and attacks as canonical JSON text."""
    return json.dumps(registry.catalogue(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the file and say where."""
    PATH.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"wrote {PATH}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
