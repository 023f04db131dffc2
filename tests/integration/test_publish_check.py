"""The publish check on a live stack: made-up submissions go through Celery and a real node, and open a competition."""

from __future__ import annotations

import json
from pathlib import Path

from livekit import Live, competition, push, write_bundle


def test_made_up_submissions_go_through_the_real_queue(live: Live, tmp_path: Path) -> None:
    organiser = live.person("checker", organise=True)
    token = live.tokens["checker"]
    metrics = [{"use": "performance.accuracy"}, {"use": "performance.roc_auc"}]
    slug = push(organiser, write_bundle(tmp_path / "bundle", competition(metrics=metrics))).competition

    done = live.cli("competition", "rehearse", slug, "--wait", "--timeout", "170", "--json", token=token)
    again = live.cli("competition", "rehearse", slug, "--no-start", token=token)
    organiser.export(slug, tmp_path / "again.zip")

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)["check"]
    found = {item["sent"]: (item["status"], item["verdict"]) for item in report["submissions"]}
    assert found == {
        "null": ("scored", "passed"), "constant": ("scored", "passed"), "oracle": ("scored", "passed"),
        "malformed": ("rejected", "passed"),
    }  # fmt: skip
    assert report["state"] == "passed"
    assert "open: oracle: passed" in done.stderr
    assert (again.returncode, f"touchstone competition open {slug}" in again.stderr) == (0, True)
    assert list(organiser.submissions(slug)) == []
    assert organiser.leaderboard(slug, "open", "main").rows == ()
    assert organiser.push(tmp_path / "again.zip").changed is False
