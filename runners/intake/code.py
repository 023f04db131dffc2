"""Intake of `code`: a zip with main.py at its top."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path

from runners.data.sniff import sniff
from runners.intake.archives import CODE_LIMITS, ArchiveError, inspect_zip, read_entry
from runners.intake.report import IntakeReport
from runners.spec.defects import shortened

MAIN = "main.py"
_MAX_SOURCE = 2**20
_ZIPS = {"zip", "npz", "PyTorch (.pt)", "Excel (xlsx)"}


def check_code(path: Path) -> IntakeReport:
    """Judge a zip of code. Nothing is run or unpacked; main.py is parsed only."""
    report = IntakeReport()
    kind = sniff(path)
    if kind not in _ZIPS:
        report.note("not_a_zip", f"the file is not a zip but {kind}", hint="Zip the folder that holds main.py.")
        return report
    try:
        facts = inspect_zip(path, limits=CODE_LIMITS)
        report.facts |= {"files": len(facts.names), "bytes": facts.total}
        if MAIN in facts.names:
            _parse(read_entry(path, MAIN, limit=_MAX_SOURCE), report)
        else:
            _no_main(facts.names, report)
    except ArchiveError as error:
        report.defects += error.defects
    return report


def _no_main(names: tuple[str, ...], report: IntakeReport) -> None:
    deeper = [name for name in names if name.endswith(f"/{MAIN}") and not name.startswith("__MACOSX/")]
    hint = "Start from the template: `touchstone_client.serve(predict)` in main.py."
    if deeper:
        hint = f"It is at {deeper[0]}: zip the contents of that folder, not the folder itself."
    tops = sorted({name.split("/", 1)[0] for name in names})
    report.note(
        "missing_main", f"there is no {MAIN} at the top of the zip; found {shortened(tops) or 'nothing'}", hint=hint
    )


def _parse(source: bytes, report: IntakeReport) -> None:
    if len(source) > _MAX_SOURCE:
        report.note("too_large", f"{MAIN} has more than {_MAX_SOURCE:,} bytes", MAIN, "Move data out of the program.")
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source, filename=MAIN)
    except SyntaxError as error:
        report.note("syntax", f"{MAIN} is not valid Python: {error.msg}", _place(error), "Correct it.")
    except (ValueError, RecursionError, MemoryError) as error:
        report.note("syntax", f"{MAIN} cannot be read as Python: {type(error).__name__}", MAIN, "Make it simpler.")


def _place(error: SyntaxError) -> str:
    """`main.py:LINE:COLUMN`, both from 1."""
    return f"{MAIN}:{error.lineno or 1}:{max(error.offset or 1, 1)}"
