"""What the demo found, as JSON, and whether it is what was expected."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from scripts.demo_content import Sent, folders
from scripts.engines import Choice
from touchstone_client import types as t
from touchstone_client.sdk import Client

#: The same weights may answer differently on the last bits of another processor, which moves an item or two.
_TOLERANCE = 0.005
_PACKAGES = ("Django", "celery", "psycopg", "torch", "onnxruntime", "numpy", "adversarial-robustness-toolbox", "aif360")


@dataclass(frozen=True)
class Ended:
    """A submission after the wait. `results` is None where the run had not ended."""

    sent: Sent
    submission: t.Submission
    results: t.Results | None

    @property
    def scores(self) -> dict[str, t.MetricValue]:
        return {item.key: item for item in self.results.items} if self.results else {}


def wrong(ended: list[Ended]) -> list[str]:
    """One text for each baseline that did not end as its baselines.yml says."""
    return [text for item in ended if (text := _fault(item))]


def _fault(item: Ended) -> str:
    name = f"{item.sent.baseline.competition}/{item.sent.baseline.name}"
    run = item.submission
    if run.status != "scored":
        why = run.explanation
        told = f": {why.what} {why.why} {why.next}" if why else ""
        return f"{name}: {run.status} ({run.verdict or run.code or 'no verdict'}){told}"
    off = [
        f"{key} is {got.value if got else 'missing'}, expected {want}"
        for key, want in item.sent.baseline.expected.items()
        if (got := item.scores.get(key)) is None or got.value is None or abs(got.value - want) > _TOLERANCE
    ]
    return f"{name}: {'; '.join(off)}" if off else ""


def summary(client: Client, choice: Choice, ended: list[Ended], *, seconds: float) -> dict[str, Any]:
    """The content of var/demo/summary.json."""
    return {
        "engine": choice.name,
        "isolation": choice.report.get("isolation", ""),
        "not_enforced": list(choice.report.get("not_enforced", ())),
        "engines": choice.reports,
        "competitions": [_competition(client.competition(folder.name)) for folder in folders()],
        "submissions": [_submission(item) for item in ended],
        "seconds_total": round(seconds, 1),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
    }


def _competition(found: t.Competition) -> dict[str, Any]:
    return {
        "slug": found.slug,
        "title": found.title,
        "version": found.version,
        "phases": [phase.slug for phase in found.phases],
        "splits": {split.name: split.n_items for split in found.splits},
        "leaderboards": [f"{found.slug}/{board.phase}/{board.slug}" for board in found.leaderboards],
    }


def _submission(item: Ended) -> dict[str, Any]:
    run = item.submission
    return {
        "id": run.id,
        "competition": run.competition,
        "phase": run.phase,
        "name": item.sent.baseline.name,
        "participant": run.participant,
        "kind": run.kind,
        "state": run.status,
        "attempt": run.attempt,
        "verdict": run.verdict,
        "message": run.explanation.what if run.explanation else "",
        "scores": {
            key: {name: getattr(got, name) for name in ("value", "low", "high", "n", "state", "reason")}
            for key, got in item.scores.items()
        },
        "seconds": {**_waits(run), **run.stages},
    }


def _waits(run: t.Submission) -> dict[str, float]:
    """`wait`: from the submission to its (last) start; `total`: to its end."""
    ends = {"wait": run.started_at, "total": run.finished_at}
    return {name: round((at - run.created_at).total_seconds(), 3) for name, at in ends.items() if at is not None}
