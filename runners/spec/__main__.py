"""`python -m runners.spec check DIR [--json]` and `python -m runners.spec schema`.

Exit codes: 0 sound, 7 defects, 2 wrong use.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from runners.spec.folder import CheckReport, check_folder
from runners.spec.schema import schema_text

EXIT_DEFECTS = 7


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m runners.spec", description="Check a competition's folder.")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="list every defect of a competition's folder")
    check.add_argument("folder", type=Path)
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    check.add_argument("--no-data", action="store_true", help="leave the contents of the splits unread")
    commands.add_parser("schema", help="print the JSON Schema of competition.yml")
    arguments = parser.parse_args(argv)
    if arguments.command == "schema":
        sys.stdout.write(schema_text())
        return 0
    report = check_folder(arguments.folder, data=not arguments.no_data)
    sys.stdout.write(_json(report) if arguments.json else _lines(report))
    return 0 if report.ok else EXIT_DEFECTS


def _lines(report: CheckReport) -> str:
    if report.ok and report.spec is not None:
        items = "".join(f"  {name}: {facts.n_items:,} items\n" for name, facts in report.splits.items())
        return f"{report.spec.slug}: no defects\n{items}"
    count = len(report.defects)
    return "".join(f"{defect.text()}\n" for defect in report.defects) + f"{count} defect{'s'[: count != 1]}\n"


def _json(report: CheckReport) -> str:
    body = {
        "ok": report.ok,
        "defects": [defect.as_dict() for defect in report.defects],
        "splits": {name: facts.as_dict() for name, facts in report.splits.items()},
        "spec": report.spec.model_dump(mode="json") if report.spec else None,
    }
    return json.dumps(body, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
