"""When runs passed through their states: submission ids on stdin, times by id on stdout. Needs the database."""

from __future__ import annotations

import json
import sys

import django


def main() -> int:
    django.setup()
    from touchstone.evaluations.models import Run

    found = {}
    for run in Run.objects.filter(submission_id__in=json.load(sys.stdin)):
        moves = run.events.filter(kind="status").order_by("sequence").values_list("data__to", "at")
        found[str(run.submission_id)] = {
            "status": run.status,
            "message": run.message,
            "attempt": run.attempt,
            "node": run.node_id,
            "at": {to: at.timestamp() for to, at in moves},
            "stages": run.stages,
        }
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
