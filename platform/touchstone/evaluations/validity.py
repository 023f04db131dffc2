"""The verdict of an attack-validity report, as it stands beside the number that it doubts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VERDICTS = ("sound", "suspect", "broken")
#: The report says that nothing was looked at.
UNCHECKED = "unchecked"
_FAILED = ("suspect", "broken")
_MOST = 20
_LENGTH = 300


@dataclass(frozen=True)
class Validity:
    """`verdict`: one of VERDICTS, UNCHECKED, or empty where a result has no report.

    `doubts`: each failed check in words, `black box control: Square fools 6 of 50 items more than the attack did.`
    """

    verdict: str = ""
    doubts: tuple[str, ...] = ()


def validity_of(details: Mapping[str, Any]) -> Validity:
    """The verdict in the `details` of a result. They may come from an organiser's scorer: any shape is met calmly."""
    report = details.get("validity")
    if not isinstance(report, Mapping) or "verdict" not in report:
        return Validity()
    verdict = report["verdict"]
    if verdict is None:
        return Validity(UNCHECKED)
    if verdict not in VERDICTS:
        return Validity()
    checks = report.get("checks")
    found = [check for check in checks if isinstance(check, Mapping)] if isinstance(checks, list) else []
    failed = [check for check in found if check.get("outcome") in _FAILED]
    return Validity(str(verdict), tuple(_doubt(check) for check in failed[:_MOST]))


def _doubt(check: Mapping[str, Any]) -> str:
    name = str(check.get("check", "")).replace("_", " ")
    text = str(check.get("text", ""))
    return (f"{name}: {text}" if text else name)[:_LENGTH]


def blunted(details: Mapping[str, Any]) -> dict[str, Any]:
    """What of `details` may be told where numbers are rounded: the verdict and which checks failed, without figures."""
    known = validity_of(details)
    if not known.verdict:
        return {}
    verdict = None if known.verdict == UNCHECKED else known.verdict
    checks = [{"check": name_of(doubt), "outcome": verdict} for doubt in known.doubts]
    return {"validity": {"verdict": verdict, "checks": checks}}


def name_of(doubt: str) -> str:
    """The check's name alone; what follows it may hold exact numbers."""
    return doubt.partition(": ")[0]
