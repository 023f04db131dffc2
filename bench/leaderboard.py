"""Pages of a leaderboard, small and large, in a scratch database."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.probe import ProbeError, clean_environment, probe
from bench.rounds import ratio, say, summary
from scripts.services import Services
from scripts.stack import PYTHONPATH, ROOT

SIZES = {False: (1_000, 100_000), True: (600, 3_000)}
#: Names the larger size instead, for the figure at a million submissions: to seed them takes minutes.
_LARGE = "TOUCHSTONE_BENCH_SUBMISSIONS"
ROUNDS = {False: 25, True: 5}
_NOTE = (
    "Whole requests through Django's handler in one process: routing, session, SQL, template or JSON. Without "
    "gunicorn and the socket. One tenth as many participants as submissions, 50 rows a page, 5 columns with intervals."
)


def measure(*, quick: bool) -> dict[str, Any]:
    """Milliseconds and SQL queries by kind of page and size; the same page from raw results as the peer."""
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as folder:
        var = Path(folder)
        var.chmod(0o711)  # as root, PostgreSQL runs under its own user and passes through
        with Services(var / "services", durable=False, want=("postgres",), environ={}) as services:
            environment = {
                "DATABASE_URL": services.environment["DATABASE_URL"],
                "DJANGO_SETTINGS_MODULE": "touchstone.config.settings.dev",
                "TOUCHSTONE_VAR": str(var / "var"),
                "TOUCHSTONE_STORAGE": str(var / "storage"),
                "TOUCHSTONE_SECRET_KEY": secrets.token_urlsafe(48),
                "TOUCHSTONE_ALLOWED_HOSTS": "127.0.0.1",
            }
            _migrate(environment)
            small, large = SIZES[quick][0], int(os.environ.get(_LARGE) or SIZES[quick][1])
            question = {"sizes": [small, large], "rounds": ROUNDS[quick]}
            samples = probe("bench.board_probe", question, environment=environment)
    return _report(samples, small, large)


def _migrate(environment: dict[str, str]) -> None:
    say("leaderboard: scratch database")
    argv = [sys.executable, str(ROOT / "manage.py"), "migrate", "--no-input", "--verbosity=0"]
    env = {**clean_environment(), "PYTHONPATH": PYTHONPATH, **environment}
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        raise ProbeError(f"migrate failed:\n{done.stderr[-3000:]}")


def _report(samples: dict[str, Any], small: int, large: int) -> dict[str, Any]:
    """`samples`: {size: {case: [{wall_ms, cpu_ms, sql_ms, sql}]}}; sizes are text in JSON."""
    cases: dict[str, Any] = {}
    for case in samples["cases"][str(small)]:
        by_size = {size: samples["cases"][str(size)][case] for size in (small, large)}
        cases[case] = {str(size): _case(found) for size, found in by_size.items()}
        cases[case]["ratio_large_to_small"] = _ratios(by_size[large], by_size[small])
    peer = {str(size): summary(samples["naive_ms"][str(size)], digits=3) for size in (small, large)}
    board = {str(size): summary(samples["page_sql_ms"][str(size)], digits=3) for size in (small, large)}
    return {
        "what": _NOTE,
        "postgresql": samples["postgresql"],
        "sizes": {"small": small, "large": large},
        "seed_seconds": samples["seed_seconds"],
        "pages": cases,
        "peer": {
            "what": "the first 50 rows by SQL alone: DISTINCT ON over raw results, beside the query on kept entries; "
            "both answered with the same participants in the same order",
            "distinct_on_ms": peer,
            "entries_ms": board,
            "ratio": {
                str(size): ratio(samples["naive_ms"][str(size)], samples["page_sql_ms"][str(size)])
                for size in (small, large)
            },
        },
    }


def _case(found: list[dict[str, float]]) -> dict[str, Any]:
    told: dict[str, Any] = {
        name: summary([one[name] for one in found], digits=3) for name in ("wall_ms", "cpu_ms", "sql_ms")
    }
    counts = {int(one["sql"]) for one in found}
    return told | {"sql_queries": max(counts), "bytes": int(found[-1]["bytes"])}


def _ratios(large: list[dict[str, float]], small: list[dict[str, float]]) -> dict[str, Any]:
    return {
        name: ratio([one[name] for one in large], [one[name] for one in small])
        for name in ("wall_ms", "cpu_ms")
    }  # fmt: skip
