from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from django.db import connection

from runners.contract import Verdict
from tests.factories.server import user_make
from tests.unit.api.api_helpers import token_for
from touchstone.accounts.models import User
from touchstone.submissions.models import Submission

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def made(run: Callable, as_paula: User, predictions: Path) -> str:
    return str(run("submit", "small/now", predictions).out.strip())


def test_status(run: Callable, made: str, score: Callable) -> None:
    done = run("status", made)
    assert done.code == 0
    assert f"submission\t{made}" in done.out
    assert "status\treceived" in done.out
    score(made)
    assert run("status", made, "--json").json["submission"]["status"] == "scored"


def test_status_of_a_failure_explains_and_only_watching_fails(run: Callable, made: str, score: Callable) -> None:
    score(made, verdict=Verdict.CRASH, message="It fell over.", results=())
    done = run("status", made)
    assert done.code == 0
    assert "why: It fell over." in done.err
    assert run("status", made, "--watch").code == 3


def test_watching(run: Callable, made: str, score: Callable, meanwhile: Callable) -> None:
    meanwhile(lambda: score(made))
    done = run("status", made, "--watch")
    assert done.code == 0
    assert done.rows[0]["key"] == "performance.accuracy"


@pytest.mark.parametrize("command", ["status", "logs", "results", "cancel"])
@pytest.mark.parametrize("name", ["5b0fc0ce-0a31-4bd1-a6a9-0b5d6e0c1a2b", "nonsense", "../me"])
def test_ids_that_are_none(run: Callable, as_paula: User, command: str, name: str) -> None:
    done = run(command, name)
    assert done.code == 1
    assert "request id" in done.err


def test_logs(run: Callable, made: str, score: Callable) -> None:
    before = run("logs", made)
    assert (before.code, before.out) == (0, "")
    assert "no log" in before.err
    score(made, log="one\n\x1b[31mtwo\n")
    assert run("logs", made).out == "one\ntwo\n"


def test_following_the_log(run: Callable, made: str, score: Callable) -> None:
    """Over the server's stream: the node works while the command waits."""

    def work() -> None:
        try:
            score(made, log="loading\none\n\x1b[31mtwo", sample_log="loading\n")
        finally:
            connection.close()  # this thread's own

    working = Thread(target=work)
    working.start()
    done = run("logs", made, "-f")
    working.join()
    assert (done.code, done.out) == (0, "loading\none\ntwo\n")
    assert "on node test-node" in done.err
    assert "Scored." in done.err
    assert run("logs", made, "--follow", "--part", "sample").out == "loading\n"
    assert run("logs", made, "--part", "run").out == "one\ntwo\n"
    assert run("logs", made, "--part", "none").code == 2


def test_following_without_a_stream(run: Callable, made: str, meanwhile: Callable, score: Callable, settings) -> None:
    settings.TOUCHSTONE_STREAMS = 0  # it has no room for one
    meanwhile(lambda: score(made))
    done = run("logs", made, "-f")
    assert (done.code, done.out) == (0, "all went well\n")
    assert "on node test-node" in done.err


def test_one_part_without_a_stream_is_that_part(run: Callable, made: str, score: Callable, settings) -> None:
    settings.TOUCHSTONE_STREAMS = 0
    score(made, log="loading\none\n", sample_log="loading\n")
    assert run("logs", made, "-f", "--part", "sample").out == "loading\n"
    assert run("logs", made, "-f", "--part", "run").out == "one\n"


def test_queues_and_nodes(run: Callable, made: str, score: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    score(made)
    assert run("queues").rows[0]["queue"] == "cpu"
    assert run("queues", "--json").json["queues"][0]["waiting"] == 0
    refused = run("nodes")
    assert refused.code == 4
    assert "'admin'" in refused.err
    monkeypatch.setenv("TOUCHSTONE_TOKEN", token_for(user_make(is_staff=True), "read", "admin"))
    assert run("nodes").rows[0]["name"] == "test-node"
    assert run("nodes", "--json").json["nodes"][0]["runs"] == []


def test_results(run: Callable, made: str, score: Callable) -> None:
    before = run("results", made)
    assert (before.code, before.rows) == (0, [])
    assert "--watch" in before.err
    score(made)
    assert run("results", made, "--json").json["results"]["items"][0]["n"] == 12
    assert run("results", made).rows[0]["value"] == "0.7500"


def test_results_of_a_failure(run: Callable, made: str, score: Callable) -> None:
    score(made, verdict=Verdict.TIMEOUT, results=())
    assert run("results", made).code == 3


def test_cancel(run: Callable, made: str) -> None:
    assert "cancelled" in run("cancel", made).err
    assert run("cancel", made, "--json").json["submission"]["status"] == "cancelled"
    assert run("status", made, "--watch").code == 3


def test_submissions_newest_first(run: Callable, made: str, predictions: Path) -> None:
    second = run("submit", "small/now", predictions, "-m", "second").out.strip()
    rows = run("submissions", "small").rows
    assert [(row["id"], row["to"], row["message"]) for row in rows] == [
        (second, "small/now", "second"),
        (made, "small/now", ""),
    ]
    assert len(run("submissions", "--json").json["submissions"]) == 2
    assert Submission.objects.count() == 2


def test_quota(run: Callable, made: str) -> None:
    done = run("quota", "small/now")
    assert done.out.startswith("small/now: 4 of 5 left today, resets ")
    assert done.out.endswith("00:00 UTC; 49 of 50 left in all\n")
    assert run("quota", "small").out == done.out
    assert run("quota", "small/past").out == "small/past: no limit\n"
    assert run("quota", "small", "--json").json["quota"]["remaining_today"] == 4


def test_leaderboard(run: Callable, made: str, score: Callable) -> None:
    score(made, 0.75)
    for target in ("small", "small/now", "small/now/main"):
        rows = run("leaderboard", target).rows
        assert [(row["rank"], row["participant"], row["Accuracy"]) for row in rows] == [
            ("1", "paula (you)", "0.750 [0.650, 0.850]")
        ]
    board = run("leaderboard", "small", "--json").json["leaderboard"]
    assert board["rows"][0]["scores"]["performance.accuracy"]["value"] == 0.75
    text = run("leaderboard", "small", "--csv").out
    assert float(next(iter(csv.DictReader(io.StringIO(text))))["performance.accuracy"]) == 0.75


def test_leaderboards_that_are_none(run: Callable, as_paula: User) -> None:
    assert run("leaderboard", "small/now/other").code == 1
    done = run("leaderboard", "small/never")
    assert done.code == 2
    assert "small/now/main" in done.err
    assert run("leaderboard", "small", "--csv", "--json").code == 2
    assert run("leaderboard", "small", "--sort", "colour").code == 1


def test_leaderboard_needs_no_login(run: Callable, made: str, score: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    score(made)
    monkeypatch.delenv("TOUCHSTONE_TOKEN")
    assert run("leaderboard", "small").rows[0]["participant"] == "paula"


def test_stages_come_in_their_order(run: Callable, made: str, score: Callable) -> None:
    score(made, stages={"predict": 1.5, "fetch": 0.25, "a": 2})

    found = run("status", made, "--json").json["submission"]

    assert list(found["stages"].items()) == [("predict", 1.5), ("fetch", 0.25), ("a", 2.0)]


def test_what_happened_since(run: Callable, made: str, score: Callable) -> None:
    score(made)
    recent = run("logs", made, "--since", "1h")
    assert recent.code == 0
    assert "scored" in recent.err.lower()
    later = run("logs", made, "--since", "2999-01-01T00:00")
    assert "Nothing was logged since 2999-01-01" in later.err
    assert "scored" not in later.err.lower()
    assert run("logs", made, "--since", "yesterday").code == 2


def test_submissions_of_some_kind(run: Callable, made: str, score: Callable, predictions: Path) -> None:
    score(made)
    other = run("submit", "small/now", predictions, "--name", "the second").out.strip()
    assert [row["id"] for row in run("submissions", "small/now").rows] == [other, made]
    assert [row["id"] for row in run("submissions", "--status", "scored").rows] == [made]
    (row,) = run("submissions", "small", "--status", "open").rows
    assert (row["id"], row["name"]) == (other, "the second")
    assert run("submissions", "small/later").rows == []
    assert run("submissions", "--kind", "model").rows == []
    assert len(run("submissions", "--limit", "1").rows) == 1


def test_some_rows_of_a_leaderboard(run: Callable, made: str, score: Callable) -> None:
    score(made)
    for options, count in ((["--kind", "predictions"], 1), (["--kind", "model"], 0), (["--who", "baselines"], 0)):
        assert len(run("leaderboard", "small", *options).rows) == count, options
    assert run("leaderboard", "small", "--who", "nobody").code == 1
    assert run("leaderboard", "small", "--csv", "--kind", "model").code == 2
