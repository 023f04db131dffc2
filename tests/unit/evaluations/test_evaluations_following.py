"""A run as it happens: what a stream tells, where it goes on, and how many of them there may be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runners.contract import EventBatch, RunEvent
from tests.factories.server import competition_make, node_make, queued_run, result_make
from touchstone.core.errors import TooBusy
from touchstone.core.streams import Stream, streams_open
from touchstone.evaluations.following import Place, follow
from touchstone.evaluations.logs import LogPlace
from touchstone.evaluations.models import Run
from touchstone.evaluations.services import events_append, result_accept, run_cancel, run_claim

pytestmark = pytest.mark.django_db


def parsed(text: str) -> tuple[str, dict, str]:
    fields = dict(line.split(": ", 1) for line in text.strip().splitlines() if not line.startswith(":"))
    return fields.get("event", ""), json.loads(fields.get("data", "{}")), fields.get("id", "")


def stream(run: Run, *steps: Callable[[], object], user=None, place: Place | None = None) -> Iterator[tuple]:
    """The messages of a stream; each pause between two looks does the next step."""
    todo = list(steps)

    def sleep(_: float) -> None:
        assert todo, "the stream waits for something that never happens"
        todo.pop(0)()

    user = user or run.submission.participation.user
    texts = follow(run=run, user=user, place=place or Place(), sleep=sleep)
    return (parsed(text) for text in texts if "event:" in text)


def add(node, run: Run, *events: RunEvent) -> None:
    events_append(node=node, run_id=run.pk, attempt=1, batch=EventBatch(events=events))


def log(text: str, *, public: bool = False) -> RunEvent:
    return RunEvent(at="x", kind="log", message=text, data={"public": public})


def test_a_whole_life() -> None:
    run, node = queued_run(), node_make()
    told = list(
        stream(
            run,
            lambda: run_claim(node=node, queue="cpu", kinds=["predictions"]),
            lambda: add(node, run, RunEvent(at="x", kind="stage", message="sample"), log("hi\n", public=True)),
            lambda: add(node, run, log("one\n")),
            lambda: result_accept(node=node, result=result_make(Run.objects.get(pk=run.pk), log="hi\none\ntwo\n")),
        )
    )

    states = [data["status"] for event, data, _ in told if event == "state"]
    logs = [(data["part"], data["text"]) for event, data, _ in told if event == "log"]
    assert states == ["queued", "running", "scored"]
    assert logs == [("sample", "hi\n"), ("run", "one\n"), ("run", "two\n")]
    assert [data["queue_position"] for event, data, _ in told if event == "state"] == [1, None, None]
    assert told[-1][0] == "end"
    assert "Scored." in [data["message"] for event, data, _ in told if event == "event"]


def test_it_goes_on_where_it_was_cut_off_and_tells_nothing_twice() -> None:
    run, node = queued_run(), node_make()
    run_claim(node=node, queue="cpu", kinds=["predictions"])
    add(node, run, log("a" * 100_000), log("hello\n", public=True))
    result_accept(node=node, result=result_make(Run.objects.get(pk=run.pk)))
    whole = list(stream(Run.objects.get(pk=run.pk)))
    text = "".join(data["text"] for event, data, _ in whole if event == "log")
    assert len(text) == 100_006

    for cut in range(len(whole)):
        head = whole[: cut + 1]
        again = list(stream(run, place=Place.read(head[-1][2])))
        parts = [message for message in [*head, *again] if message[0] in ("log", "event")]
        assert len(parts) == sum(message[0] in ("log", "event") for message in whole)
        assert "".join(data["text"] for event, data, _ in parts if event == "log") == text


def test_a_new_attempt_begins_its_logs_anew() -> None:
    run, node = queued_run(), node_make()
    run_claim(node=node, queue="cpu", kinds=["predictions"])
    add(node, run, log("first\n"))
    place = Place(0, LogPlace(Run.objects.get(pk=run.pk).log_epoch, 0, 6))
    Run.objects.update(status="queued", node=None)
    run_claim(node=node, queue="cpu", kinds=["predictions"])
    events_append(node=node, run_id=run.pk, attempt=2, batch=EventBatch(events=(log("second\n"),)))
    run_cancel(run=run, user=run.submission.participation.user)

    told = stream(run, lambda: Run.objects.update(status="cancelled"), place=place)
    logs = [data for event, data, _ in told if event == "log"]

    assert logs == [{"part": "run", "text": "second\n", "anew": True}]


@pytest.mark.parametrize(("who", "parts"), [("participant", {"sample"}), ("owner", {"sample", "run"})])
def test_what_a_phase_keeps_back_is_not_streamed(who: str, parts: set[str]) -> None:
    phases = [{"slug": "main", "split": "test", "opens": "2020-01-01T00:00Z", "feedback": "none"}]
    run, node = queued_run(competition_make(phases=phases)), node_make()
    run_claim(node=node, queue="cpu", kinds=["predictions"])
    note = RunEvent(at="x", kind="note", message="saw a secret")
    add(node, run, log("public\n", public=True), log("secret\n"), note)
    result_accept(node=node, result=result_make(Run.objects.get(pk=run.pk)))
    user = run.submission.phase.competition.owner if who == "owner" else run.submission.participation.user

    told = list(stream(Run.objects.get(pk=run.pk), user=user))

    assert {data["part"] for event, data, _ in told if event == "log"} == parts
    assert ("secret" in str(told)) is (who == "owner")


def test_a_quiet_look_costs_few_queries_and_says_it_is_there() -> None:
    run = queued_run()
    pauses = 0
    counts: list[int] = []

    def sleep(_: float) -> None:
        nonlocal pauses
        pauses += 1
        counts.append(len(asked))
        if pauses == 12:
            Run.objects.update(status="cancelled")

    with CaptureQueriesContext(connection) as asked:
        told = list(follow(run=run, user=run.submission.participation.user, place=Place(), sleep=sleep))

    assert sum(text.startswith(":") for text in told) == 1
    assert {after - before for before, after in pairwise(counts[1:])} == {3}


def test_it_ends_in_time_without_an_end(settings) -> None:
    settings.TOUCHSTONE_STREAM_SECONDS = 0
    assert [event for event, _, _ in stream(queued_run())] == ["state"]


@pytest.mark.parametrize(
    "text", ["", "nonsense", "1.2.3", "1.2.3.4.5", "-1.0.0.0", "1.2.3.9999999999999999999", "1.a.b.c"]
)
def test_a_place_that_is_none_is_the_beginning(text: str) -> None:
    assert Place.read(text) == Place()
    assert Place.read("7.1.2.3") == Place(7, LogPlace(1, 2, 3))
    assert str(Place.read("7.1.2.3")) == "7.1.2.3"


def test_streams_are_counted_and_freed_however_they_end(settings) -> None:
    settings.TOUCHSTONE_STREAMS, settings.TOUCHSTONE_STREAMS_PER_USER = 3, 2
    first = Stream(iter(["a"]), owner="1")
    second = Stream(iter(["a", "b"]), owner="1")
    with pytest.raises(TooBusy, match="You follow 2 runs"):
        Stream(iter([]), owner="1")
    third = Stream(iter([]), owner="2")
    with pytest.raises(TooBusy, match="as it can"):
        Stream(iter([]), owner="3")

    assert list(first) == [b"a"]  # read to its end
    half = iter(second)
    next(half)
    half.close()  # type: ignore[attr-defined]
    third.close()  # never read
    third.close()
    assert streams_open() == 0


def test_how_much_a_hidden_log_holds_shows_nowhere(client, settings) -> None:
    settings.TOUCHSTONE_STREAM_SECONDS = 0
    phases = [{"slug": "main", "split": "test", "opens": "2020-01-01T00:00Z", "feedback": "none"}]
    run, node = queued_run(competition_make(phases=phases)), node_make()
    run_claim(node=node, queue="cpu", kinds=["predictions"])
    add(node, run, log("public\n", public=True))
    client.force_login(run.submission.participation.user)
    ids, pages, logs = [], [], []
    for more in ("", "x", "secret " * 1000, "y" * 2**20):
        if more:
            add(node, run, log(more))
        told = follow(run=run, user=run.submission.participation.user, place=Place(), sleep=lambda _: None)
        ids.append([parsed(text)[2] for text in told if "event:" in text])
        page = client.get(f"/s/{run.submission_id}", follow=True).content.decode()
        pages.append(page.partition("data-stream=")[2].partition("hx-get")[0])
        logs.append(client.get(f"/s/{run.submission_id}/logs").content)
    assert all(part.count(".") for part in pages)
    assert len(set(map(str, ids))) == len(set(pages)) == len(set(logs)) == 1
    version = logs[0].decode().partition('value="')[2].partition('"')[0]
    assert client.get(f"/s/{run.submission_id}/logs", {"v": version}).status_code == 204
    before = Run.objects.get(pk=run.pk).log_epoch
    result_accept(node=node, result=result_make(Run.objects.get(pk=run.pk), log="public\nother", sample_log="public\n"))
    assert Run.objects.get(pk=run.pk).log_epoch == before
