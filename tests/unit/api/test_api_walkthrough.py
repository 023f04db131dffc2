"""The lines that docs/api.md tells people to type, run by bash as they stand there, against a server."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.db import connection

from tests.unit.api.api_helpers import token_for
from tests.unit.api.bundle_maker import predictions_csv
from touchstone.accounts.models import User
from touchstone.competitions.models import Competition
from touchstone.submissions.models import Submission

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = Path(__file__).resolve().parents[3] / "docs/api.md"


def test_the_walk_with_curl(
    live_server: Any, paula: User, small: Competition, score: Callable[..., str], tmp_path: Path
) -> None:
    section = PAGE.read_text().partition("## From a terminal, with curl\n")[2].partition("\n## ")[0]
    first, *blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert first.startswith("export TOUCHSTONE_URL=https://touchstone.example.org TOUCHSTONE_TOKEN=")
    lines = "\n".join(blocks).replace("garments", "small").replace("development", "now")
    (tmp_path / "predictions.csv").write_text(predictions_csv())
    node = Thread(target=_score_one, args=(score,))
    node.start()
    env = {"PATH": os.environ["PATH"], "TOUCHSTONE_URL": live_server.url, "TOUCHSTONE_TOKEN": token_for(paula)}
    argv = ["bash", "-euo", "pipefail", "-c", lines]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, env=env)
    node.join()
    assert done.returncode == 0, done.stderr + done.stdout
    assert [made.kind for made in Submission.objects.all()] == ["predictions"] * 2
    for part in ('"username":"paula"', '"remaining_today":5', "}scored\n", "performance.accuracy", "all went well"):
        assert part in done.stdout
    assert (tmp_path / "board.csv").read_text().count("paula") == 1


def _score_one(score: Callable[..., str]) -> None:
    """A node that scores the first submission that comes."""
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until and not Submission.objects.filter(run__status="received").exists():
            time.sleep(0.05)
        score(str(Submission.objects.latest("-created_at").pk), 0.75)
    finally:
        connection.close()
