"""The publish check on a live stack: made-up submissions go through Celery and a real node, and open a competition."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
from livekit import WAIT_SECONDS, Live, competition, push, write_bundle


def test_made_up_submissions_go_through_the_real_queue(live: Live, tmp_path: Path) -> None:
    organiser = live.person("checker", organise=True)
    metrics = [{"use": "performance.accuracy"}, {"use": "performance.roc_auc"}]
    slug = push(organiser, write_bundle(tmp_path / "bundle", competition(metrics=metrics))).competition
    headers = {"Authorization": f"Bearer {live.tokens['checker']}"}

    with httpx.Client(base_url=live.stack.url, headers=headers, timeout=60) as http:
        started = http.post(f"/api/v1/competitions/{slug}/check")
        report = _ended(http, slug)
        archive = http.get(f"/api/v1/competitions/{slug}/export")

    assert started.status_code == 202, started.text
    found = {item["sent"]: (item["status"], item["verdict"]) for item in report["submissions"]}
    assert found == {
        "null": ("scored", "passed"), "constant": ("scored", "passed"), "oracle": ("scored", "passed"),
        "malformed": ("rejected", "passed"),
    }  # fmt: skip
    assert report["state"] == "passed"
    assert list(organiser.submissions(slug)) == []
    assert organiser.leaderboard(slug, "open", "main").rows == ()
    (tmp_path / "again.zip").write_bytes(archive.content)
    assert organiser.push(tmp_path / "again.zip").changed is False


def _ended(http: httpx.Client, slug: str) -> dict[str, Any]:
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        report: dict[str, Any] = http.get(f"/api/v1/competitions/{slug}/check").json()
        if report["state"] != "running":
            return report
        time.sleep(0.3)
    raise AssertionError("the check did not end in time")
