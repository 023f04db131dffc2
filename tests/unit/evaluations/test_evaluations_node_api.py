"""The node API over HTTP."""

from __future__ import annotations

import uuid

import orjson
import pytest

from runners.contract import RunSpec, dump
from runners.spec.models import InputSpec
from tests.factories.judge_world import World
from tests.factories.server import hello, node_make, queued_run, result_make
from touchstone.evaluations.models import Node, Run
from touchstone.evaluations.node_api import _told
from touchstone.evaluations.services import node_create, node_disable

pytestmark = pytest.mark.django_db


@pytest.fixture
def node() -> tuple[Node, str]:
    return node_create(name="n1")


@pytest.fixture
def call(client, node):
    """POST to the node API as the node `n1`."""

    def post(path: str, body: object = None, *, token: str = node[1], raw: bytes | None = None):
        data = raw if raw is not None else orjson.dumps(body if body is not None else {})
        return client.post(
            f"/node/v1/{path}", data, content_type="application/json", headers={"Authorization": f"Bearer {token}"}
        )

    return post


CLAIM = {"queue": "cpu", "kinds": ["predictions"], "wait": False}


def test_whole_conversation(call, client, node) -> None:
    run = queued_run()

    registered = call("register", dump(hello("n1")))
    claimed = call("claim", CLAIM)
    spec = RunSpec.model_validate(claimed.json()["run"])
    base = f"runs/{spec.run}/attempts/{spec.attempt}"
    fetched = client.get(spec.split.files[0].url)
    lease = call(f"{base}/lease")
    events = call(
        f"{base}/events", {"events": [{"at": "2026-01-01T00:00:00Z", "kind": "stage", "message": "go", "data": {}}]}
    )
    run.refresh_from_db()
    scored = call(f"{base}/result", dump(result_make(run)))

    assert registered.json() == {"node": "n1", "lease_seconds": 60, "heartbeat_seconds": 15}
    assert spec.run == str(run.pk)
    assert spec.split.files[0].url.startswith("http://testserver/node/v1/files/")
    assert b"".join(fetched.streaming_content).startswith(b"id,inputs.csv")
    assert lease.json() == {"seconds": 60, "cancel": False}
    assert events.status_code == 204
    assert (scored.status_code, scored.json()) == (200, {"status": "scored"})
    assert call(f"{base}/result", dump(result_make(run))).json() == {"status": "scored"}
    assert call(f"{base}/lease").status_code == 409
    assert call(f"{base}/events", {"events": []}).status_code == 409
    assert client.get(spec.split.files[0].url).status_code == 404
    assert call("claim", CLAIM).status_code == 204


def test_what_a_run_does_not_use_is_not_told_to_nodes_that_may_not_know_it(call) -> None:
    queued_run()
    told = call("claim", CLAIM).json()["run"]
    assert RunSpec.model_validate(told).validation is None
    assert "validation" not in told
    assert "surrogates" not in told


def test_an_input_is_told_without_sizes_that_it_has_not(tmp_path) -> None:
    spec = World(tmp_path).spec("code")
    assert "sizes" not in _told(spec)["input"]
    sized = InputSpec(kind="array", shape=(8,), sizes={"axes": [0], "least": 4, "most": 16})
    for found in (spec, spec.model_copy(update={"input": sized})):
        assert RunSpec.model_validate(_told(found)) == found


def test_release(call) -> None:
    run = queued_run()
    call("claim", CLAIM)

    assert call(f"runs/{run.pk}/attempts/1/release").status_code == 204
    assert call(f"runs/{run.pk}/attempts/1/release").status_code == 409
    assert call("claim", CLAIM).json()["run"]["attempt"] == 2


@pytest.mark.parametrize("token", ["", "tsn_0123456789abcdef_" + "a" * 43, "nonsense"])
def test_strangers_are_refused(call, token: str) -> None:
    answer = call("claim", CLAIM, token=token)

    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert "node_create" in answer.json()["hint"]


def test_disabled_node_and_another_nodes_attempt(call, node) -> None:
    run = queued_run()
    call("claim", CLAIM)
    _, other = node_create(name="n2")
    assert call(f"runs/{run.pk}/attempts/1/lease", token=other).status_code == 409
    node_disable(node=node[0])
    assert call(f"runs/{run.pk}/attempts/1/lease").status_code == 401


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"{", "invalid_json"),
        (b'{"queue": "cpu", "kinds": NaN}', "invalid_json"),
        (b'{"queue": "cpu", "kinds": []}', "invalid_content"),
        (b'{"queue": "cpu", "kinds": ["magic"]}', "invalid_content"),
        (b'{"queue": "cpu", "kinds": ["predictions"], "extra": 1}', "invalid_content"),
        (b"[]", "invalid_content"),
        (b"\xff\xfe", "invalid_json"),
    ],
)
def test_broken_bodies_get_422(call, raw: bytes, code: str) -> None:
    answer = call("claim", raw=raw)

    assert answer.status_code == 422
    assert answer.json()["code"] == code
    assert answer.json()["request_id"]


def test_nan_in_a_result_never_gets_in(call) -> None:
    run = queued_run()
    call("claim", CLAIM)
    run.refresh_from_db()
    body = orjson.dumps(dump(result_make(run, 0.123456))).replace(b"0.123456", b"1e999")

    answer = call(f"runs/{run.pk}/attempts/1/result", raw=body)

    assert answer.status_code == 422
    assert Run.objects.get(pk=run.pk).status == "running"


def test_result_for_another_url_is_refused(call) -> None:
    run = queued_run()
    call("claim", CLAIM)
    run.refresh_from_db()
    body = dump(result_make(run))

    assert call(f"runs/{uuid.uuid4()}/attempts/1/result", body).status_code == 422
    assert call(f"runs/{run.pk}/attempts/2/result", body).status_code == 422


def test_too_large_a_body(call, settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

    assert call("claim", raw=b" " * 2000).status_code == 413


def test_unknown_run_is_404_and_wrong_method_405(call, client) -> None:
    assert call(f"runs/{uuid.uuid4()}/attempts/1/lease").status_code == 404
    answer = client.get("/node/v1/claim")
    assert (answer.status_code, answer["Allow"]) == (405, "POST")


def test_a_bug_becomes_a_problem_with_an_id(call, monkeypatch) -> None:
    def broken(**_):
        raise RuntimeError("boom")

    monkeypatch.setattr("touchstone.evaluations.services.run_claim", broken)

    answer = call("claim", CLAIM)

    assert answer.status_code == 500
    assert answer.json()["request_id"] == answer["X-Request-ID"]
    assert "boom" not in answer.content.decode()


def test_node_is_seen() -> None:
    node = node_make()

    assert Node.objects.get(pk=node.pk).seen_at is not None
