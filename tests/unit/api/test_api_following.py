"""The stream of a run, the queues and the nodes over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from tests.factories.server import node_make, queued_run, result_make, user_make
from tests.unit.api.api_helpers import client_for, problem
from touchstone.core.streams import Stream, streams_open
from touchstone.evaluations.models import Run
from touchstone.evaluations.services import result_accept, run_claim

pytestmark = pytest.mark.django_db


@pytest.fixture
def ended() -> Run:
    run, node = queued_run(), node_make()
    run_claim(node=node, queue="cpu", kinds=["predictions"])
    result_accept(node=node, result=result_make(Run.objects.get(pk=run.pk), log="hi\nthere\n", sample_log="hi\n"))
    return Run.objects.get(pk=run.pk)


def address(run: Run) -> str:
    return f"/api/v1/submissions/{run.submission_id}/stream"


def test_a_stream_is_one_and_may_not_be_stored(ended: Run) -> None:
    answer = client_for(ended.submission.participation.user).get(address(ended))
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/event-stream; charset=utf-8"
    assert (answer["Cache-Control"], answer["X-Accel-Buffering"]) == ("no-store", "no")
    assert streams_open() == 1
    text = b"".join(answer.streaming_content).decode()
    assert streams_open() == 0
    assert text.startswith("retry: ")
    assert '{"part": "sample", "text": "hi\\n", "anew": false}' in text
    assert '{"part": "run", "text": "there\\n", "anew": false}' in text
    assert text.rstrip().splitlines()[-2] == "event: end"


@pytest.mark.parametrize("by_header", [True, False])
def test_it_goes_on_after_an_id(ended: Run, by_header: bool) -> None:
    client = client_for(ended.submission.participation.user)
    text = b"".join(client.get(address(ended)).streaming_content).decode()
    last = [line.removeprefix("id: ") for line in text.splitlines() if line.startswith("id: ")][-1]

    options = {"headers": {"Last-Event-ID": last}} if by_header else {"data": {"after": last}}
    again = b"".join(client.get(address(ended), **options).streaming_content).decode()

    assert "event: log" not in again
    assert "event: event" not in again
    assert "event: end" in again


def test_foreign_runs_are_not_there(ended: Run) -> None:
    problem(client_for(user_make()).get(address(ended)), 404, "not_found")
    problem(APIClient().get(address(ended)), 401, "not_signed_in")


def test_a_full_server_says_when_to_come_back(ended: Run, settings) -> None:
    settings.TOUCHSTONE_STREAMS = 1
    other = Stream(iter([]), owner="somebody")
    try:
        answer = client_for(ended.submission.participation.user).get(address(ended))
        body = problem(answer, 503, "streams_busy")
    finally:
        other.close()
    assert answer["Retry-After"] == "5"
    assert "every now and then" in body["hint"]


def test_the_log_comes_in_parts(ended: Run) -> None:
    client = client_for(ended.submission.participation.user)
    base = f"/api/v1/submissions/{ended.submission_id}/log"
    found = {part: client.get(base, {"part": part}).content.decode() for part in ("all", "sample", "run")}
    assert found == {"all": "hi\nthere\n", "sample": "hi\n", "run": "there\n"}
    problem(client.get(base, {"part": "none"}), 400, "invalid")


def test_queues_are_for_all_and_nodes_for_staff(ended: Run) -> None:
    queued_run()
    person, staff = client_for(user_make()), client_for(user_make(is_staff=True), "admin")
    browser = APIClient()
    browser.force_login(user_make())

    queue = person.get("/api/v1/queues").json()["items"][0]
    assert (queue["name"], queue["waiting"], queue["waiting_quick"], queue["slots"]) == ("cpu", 1, 1, 8)
    assert "queues" in problem(browser.get("/api/v1/nodes"), 403, "not_allowed")["hint"]
    problem(person.get("/api/v1/nodes"), 403, "scope_missing")
    node = staff.get("/api/v1/nodes").json()["items"][0]
    assert (node["state"], node["cpus"], node["memory"], node["runs"]) == ("ready", 2, 2**30, [])
    assert node["engines"][0]["not_enforced"] == ["disk"]
    problem(APIClient().get("/api/v1/queues"), 401, "not_signed_in")


def test_nodes_are_listed_in_a_few_queries(django_assert_max_num_queries: Callable) -> None:
    staff = client_for(user_make(is_staff=True), "admin")
    for _ in range(5):
        queued_run()
        run_claim(node=node_make(), queue="cpu", kinds=["predictions"])
    with django_assert_max_num_queries(4):
        found = staff.get("/api/v1/nodes").json()["items"]
    assert [len(node["runs"]) for node in found] == [1] * 5
