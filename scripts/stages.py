"""Seconds of each stage of runs: submission ids on stdin, {id: {stage: seconds}} on stdout. Needs the database."""

from __future__ import annotations

import json
import sys

import django


def main() -> int:
    django.setup()
    from touchstone.evaluations.models import Run

    asked = json.load(sys.stdin)
    found: dict[str, dict[str, float]] = {}
    for run in Run.objects.filter(submission_id__in=asked):
        waits = {
            "check": (run.created_at, run.queued_at),
            "queue": (run.queued_at, run.started_at),
            "total": (run.created_at, run.finished_at),
        }
        seconds = {name: (b - a).total_seconds() for name, (a, b) in waits.items() if a is not None and b is not None}
        found[str(run.submission_id)] = {**seconds, **run.stages}
    json.dump({id_: found.get(id_, {}) for id_ in asked}, sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
