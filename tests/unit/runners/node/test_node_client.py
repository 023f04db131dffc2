"""The node's side of the node API, against a real HTTP server that answers as told."""

import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runners.contract import RunResult, RunSpec, Verdict
from runners.errors import RetryableError
from runners.node.client import Fenced, NodeClient


class Script:
    """Answers in order; the last one repeats. `seen` keeps (method, path, authorisation, body)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[tuple[int, bytes]] = []
        self.seen: list[tuple[str, str, str, bytes]] = []


@pytest.fixture
def script() -> Iterator[Script]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            told.seen.append((self.command, self.path, self.headers.get("Authorization", ""), body))
            status, content = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told = Script(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(script: Script) -> Iterator[NodeClient]:
    client = NodeClient(url=script.url, token="tsn_a_b")
    yield client
    client.close()


def test_claim_of_an_empty_queue_is_none(script: Script, client: NodeClient) -> None:
    script.answers = [(204, b"")]

    assert client.claim(queue="cpu", kinds=["predictions", "model"]) is None
    ((method, path, authorisation, body),) = script.seen
    assert (method, path, authorisation) == ("POST", "/node/v1/claim", "Bearer tsn_a_b")
    asked = json.loads(body)
    assert asked.pop("key")
    assert asked == {"queue": "cpu", "kinds": ["model", "predictions"]}


def test_a_claim_whose_answer_was_lost_is_repeated_with_its_key(script: Script, client: NodeClient) -> None:
    script.answers = [(503, b""), (204, b"")]

    client.claim(queue="cpu", kinds=["predictions"])
    client.claim(queue="cpu", kinds=["predictions"])

    keys = [json.loads(body)["key"] for *_, body in script.seen]
    assert keys[0] == keys[1] != keys[2]


def test_a_lost_run_is_given_back_as_such(script: Script, client: NodeClient) -> None:
    script.answers = [(204, b"")]

    client.release("7e5c", 2, lost=True)

    assert script.seen[0][1::2] == ("/node/v1/runs/7e5c/attempts/2/release", b'{"lost":true}')


def test_claim_parses_the_spec(script: Script, client: NodeClient, run_spec: RunSpec) -> None:
    script.answers = [(200, json.dumps({"run": run_spec.model_dump(mode="json", by_alias=True)}).encode())]

    assert client.claim(queue="cpu", kinds=["predictions"]) == run_spec


def test_a_conflict_fences(script: Script, client: NodeClient, run_spec: RunSpec) -> None:
    script.answers = [(409, b"superseded by attempt 2")]

    with pytest.raises(Fenced, match="superseded"):
        client.renew(run_spec)


def test_a_server_that_restarts_is_waited_for(script: Script, client: NodeClient, run_spec: RunSpec) -> None:
    script.answers = [(503, b""), (502, b""), (200, b'{"status": "scored"}')]

    client.result(run_spec, RunResult(run=run_spec.run, attempt=1, verdict=Verdict.OK))

    assert len(script.seen) == 3


def test_a_wrong_token_is_not_tried_again(script: Script, client: NodeClient) -> None:
    script.answers = [(401, b'{"title": "unknown token"}')]

    with pytest.raises(RuntimeError, match=r"401.*unknown token"):
        client.claim(queue="cpu", kinds=[])
    assert len(script.seen) == 1


def test_a_download_starts_over_after_a_failure(script: Script, client: NodeClient) -> None:
    script.answers = [(500, b"half"), (200, b"whole")]
    target = io.BytesIO()

    client.download("/files/signed", target)

    assert target.getvalue() == b"whole"


def test_nobody_listening_is_retryable(run_spec: RunSpec) -> None:
    client = NodeClient(url="http://127.0.0.1:9", token="t")

    with pytest.raises(RetryableError, match="does not answer"):
        client.events(run_spec, [])
    client.close()


#: In a process of its own: here, other tests may have set loggers to anything.
DOWNLOAD = """
import io, logging, sys
import runners.worker
from runners.errors import RetryableError
from runners.node.client import NodeClient
logging.basicConfig(level=logging.DEBUG)
logging.info("the log works")
client = NodeClient(url=sys.argv[1], token="tsn_a_b")
try:
    client.download("/files/SIGNED", io.BytesIO())
except RetryableError as error:
    logging.error(error.message)
"""


@pytest.mark.parametrize(("status", "words"), [(200, ""), (404, "HTTP 404")])
def test_a_signed_url_is_in_no_log_and_no_text(script: Script, status: int, words: str) -> None:
    script.answers = [(status, b'{"instance": "/files/SIGNED"}')]

    done = subprocess.run(
        [sys.executable, "-c", DOWNLOAD, script.url], capture_output=True, text=True, check=True, timeout=60
    )

    log = done.stdout + done.stderr
    assert [path for _, path, _, _ in script.seen] == ["/node/v1/files/SIGNED"]
    assert "the log works" in log
    assert words in log
    assert "SIGNED" not in log
    assert "tsn_a_b" not in log


def test_a_download_tells_that_it_goes_on(script: Script, client: NodeClient) -> None:
    script.answers = [(200, bytes(3 << 20))]
    ticks: list[int] = []

    client.download("/files/x", io.BytesIO(), tick=lambda: ticks.append(1))

    assert len(ticks) >= 3
