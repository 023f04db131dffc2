"""An endpoint from the command line to the leaderboard: server, checker, queue, node and judge as in production."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from livekit import Live, competition, publish

from tests.factories.endpoints import endpoint


def larger(x: Any) -> Any:
    """yes where the first number is the larger one."""
    return np.column_stack([x[:, 0] <= x[:, 1], x[:, 0] > x[:, 1]]).astype(np.float32)


def test_an_endpoint_reaches_the_leaderboard(live: Live, sandbox: str, tmp_path: Path) -> None:
    spec = competition(
        data={
            "sample": {"path": "data/sample", "visibility": "public", "leaves_platform": True},
            "test": {"path": "data/test", "visibility": "inputs", "leaves_platform": True},
        },
        submission={
            "kinds": ["endpoint"], "resources": {"time": "30s", "start": "10s"},
            "endpoint": {"rate": 100, "timeout": "5s"},
        },
        metrics=[{"use": "performance.accuracy"}, {"use": "efficiency.peak_memory"}],
    )  # fmt: skip
    slug = publish(live, tmp_path, spec)
    name = f"caller-{slug[-8:]}"
    live.person(name).join(slug, accept_terms=True, display_name="Caller")
    live.person(name).credential_add("mine", header="X-Key", secret="s3cr3t-of-mine")

    with endpoint(larger, secret="s3cr3t-of-mine") as mine:
        done = live.cli(
            "submit", f"{slug}/open", mine.url, "--credential", "mine", "--wait", "--json", token=live.tokens[name]
        )

    assert done.returncode == 0, done.stderr
    found = {item["key"]: item for item in json.loads(done.stdout)["results"]["items"]}
    assert found["performance.accuracy"]["value"] == 1.0
    assert found["efficiency.peak_memory"]["state"] == "not_applicable"
    assert mine.items == 2 + 4 + 40 + 2 + 32  # the check, the sample, the split, asked again at once and at the end
    (row,) = live.person(name).leaderboard(slug, "open", "main").rows
    assert (row.participant, row.flags) == ("Caller", ("endpoint",))
    page = httpx.get(f"{live.stack.url}/c/{slug}/leaderboard/open/main/").text
    assert "Data left the platform" in page
    entry = httpx.get(f"{live.stack.url}/c/{slug}/entry/{row.entry}/").text
    assert "Inputs were sent to an endpoint" in entry
    assert mine.url not in page + entry
    kept = [path.read_text(errors="replace") for path in (live.stack.var / "log").glob("*.log")]
    assert "s3cr3t" not in "".join(kept) + done.stdout + done.stderr
