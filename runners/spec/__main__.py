"""`python -m runners.spec check DIR [--json]` and `python -m runners.spec schema`.

A sound folder is told with what each metric will ask a submission in each phase, so that its cost is known before it is
published: forward and backward passes as a rule, of a model that gives whatever is asked for.

Exit codes: 0 sound, 7 defects, 2 wrong use.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from runners.spec.folder import CheckReport, check_folder
from runners.spec.models import SubmissionKind
from runners.spec.schema import schema_text

if TYPE_CHECKING:
    from runners.forecast import Forecast

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
        return f"{report.spec.slug}: no defects\n{items}{_cost(report)}"
    count = len(report.defects)
    return "".join(f"{defect.text()}\n" for defect in report.defects) + f"{count} defect{'s'[: count != 1]}\n"


def _cost(report: CheckReport) -> str:
    """What metrics ask in each phase, in lines; empty where none asks."""
    try:
        phases = asked_by_phase(report)
    except ImportError:
        return "  What metrics ask is not told: the evaluators' libraries are not installed here.\n"
    lines = []
    for slug, forecasts in phases.items():
        lines += [f"  phase {slug}, what metrics ask a submission, as a rule (at least):\n"] if forecasts else []
        lines += [f"    {one.text} ({one.least:,})\n" for one in forecasts]
    return "".join(lines)


def asked_by_phase(report: CheckReport) -> dict[str, list[Forecast]]:
    """What each metric asks in each phase whose split was read, by the phase's slug. Empty for what is not sound.

    Raises:
        ImportError: the evaluators' libraries are not installed, so there is nobody who knows.
    """
    if report.spec is None or not set(report.spec.submission.kinds) - {SubmissionKind.PREDICTIONS}:
        return {}
    from runners.forecast import forecast

    return {
        phase.slug: forecast(report.spec.metrics, items=report.splits[phase.split].n_items)
        for phase in report.spec.phases
        if phase.split in report.splits
    }


def _json(report: CheckReport) -> str:
    body = {
        "ok": report.ok,
        "defects": [defect.as_dict() for defect in report.defects],
        "splits": {name: facts.as_dict() for name, facts in report.splits.items()},
        "spec": report.spec.model_dump(mode="json") if report.spec else None,
        "asks": _asks(report),
    }
    return json.dumps(body, ensure_ascii=False) + "\n"


def _asks(report: CheckReport) -> dict[str, list[dict[str, JsonValue]]] | None:
    """The same as JSON, by phase; None where it cannot be told."""
    try:
        return {slug: [one.json() for one in found] for slug, found in asked_by_phase(report).items()}
    except ImportError:
        return None


if __name__ == "__main__":
    sys.exit(main())
