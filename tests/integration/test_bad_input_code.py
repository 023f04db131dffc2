"""What a submission gets that does not start, never gets ready, answers nonsense, dies, or takes too much."""

from __future__ import annotations

from pathlib import Path

import pytest
from livekit import Live, build_image, code, ended, publish, remove_image, scores, submit_code, told

from touchstone_client import types as t
from touchstone_client.errors import ClientError

_SERVE = """
import os, time
import numpy as np
from touchstone_client import serve

calls = 0


def predict(x):
    global calls
    calls += 1
    {body}
    return np.full((len(x), 2), 0.5)


serve(predict)
"""

#: main.py and the verdict it must get.
BROKEN: dict[str, tuple[str, str]] = {
    "does not start": ("raise SystemExit('no weights found')", "crash"),
    "never gets ready": ("import time\ntime.sleep(1000)", "timeout"),
    "wrong shape": (_SERVE.format(body="return np.full((len(x), 3), 1 / 3)"), "invalid_output"),
    "not a number": (_SERVE.format(body="return np.full((len(x), 2), np.nan)"), "invalid_output"),
    "does not sum to one": (_SERVE.format(body="return np.full((len(x), 2), 0.9)"), "invalid_output"),
    "exits half-way": (_SERVE.format(body="if calls > 1: os._exit(3)"), "crash"),
    "takes too much memory": (_SERVE.format(body="hog = [np.ones(2**27) for _ in range(64)]"), "memory"),
    "runs too long": (_SERVE.format(body="time.sleep(1000)"), "timeout"),
}


@pytest.fixture(scope="module")
def open_competition(live: Live, tmp_path_factory: pytest.TempPathFactory) -> str:
    return publish(live, tmp_path_factory.mktemp("code"))


def _is_explained(done: t.Submission, verdict: str) -> None:
    assert (done.status, done.verdict) == ("failed", verdict), done.explanation
    assert done.final
    assert told(done)


@pytest.mark.parametrize("name", list(BROKEN))
def test_broken_code_gets_its_verdict(
    live: Live, sandbox: str, open_competition: str, tmp_path: Path, name: str
) -> None:
    main, verdict = BROKEN[name]
    client = live.person()
    client.join(open_competition, accept_terms=True)

    done = ended(client, submit_code(client, open_competition, code(tmp_path / "code", main)))

    _is_explained(done, verdict)
    assert client.results(done.id).items == ()
    board = client.leaderboard(open_competition, "open", "main")
    assert done.participant not in [row.participant for row in board.rows]


def test_log_of_a_crash_is_shown(live: Live, sandbox: str, open_competition: str, tmp_path: Path) -> None:
    client = live.person()
    client.join(open_competition, accept_terms=True)

    done = ended(client, submit_code(client, open_competition, code(tmp_path / "code", BROKEN["does not start"][0])))

    assert "no weights found" in client.log(done.id)


@pytest.mark.parametrize(
    ("dockerfile", "verdict"),
    [
        ('FROM touchstone/base:1\nENTRYPOINT ["/there/is/no/such/program"]\n', "crash"),
        ('FROM touchstone/base:1\nENTRYPOINT ["sleep", "1000"]\n', "timeout"),
    ],
    ids=["no program", "never ready"],
)
def test_broken_image_gets_its_verdict(
    live: Live, docker_node: str, open_competition: str, tmp_path: Path, dockerfile: str, verdict: str
) -> None:
    client = live.person()
    client.join(open_competition, accept_terms=True)
    image = build_image(tmp_path / "image", dockerfile)

    done = ended(client, client.submit(open_competition, "open", image=image, kind="container"))
    remove_image(image)

    _is_explained(done, verdict)


def test_unknown_image_is_told_by_name(live: Live, docker_node: str, open_competition: str) -> None:
    client = live.person()
    client.join(open_competition, accept_terms=True)

    image = f"nobody/knows-this@sha256:{'0' * 64}"

    done = ended(client, client.submit(open_competition, "open", image=image, kind="container"))

    assert done.status == "failed"
    assert image in told(done)
    assert client.quota(open_competition).used_total == 0  # another node may hold it: nobody's fault but ours


def test_image_by_tag_is_refused(live: Live, docker_node: str, open_competition: str) -> None:
    client = live.person()
    client.join(open_competition, accept_terms=True)

    with pytest.raises(ClientError, match="cannot be named by its digest"):
        client.submit(open_competition, "open", image="nobody/knows-this:1", kind="container")


def test_next_one_is_scored_after_all_this(live: Live, sandbox: str, open_competition: str, tmp_path: Path) -> None:
    """The node lives on."""
    client = live.person()
    client.join(open_competition, accept_terms=True)

    done = ended(client, submit_code(client, open_competition, code(tmp_path / "code")))

    assert done.status == "scored", done.explanation
    assert scores(client, done)["performance.accuracy"] == 1.0
