"""`serve` at home, asked by an independent client (Triton's), and the bridge to an existing server."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runners.channel.client import OipClient
from runners.channel.errors import ServerError
from runners.channel.listener import SOCKET_NAME, Listener
from runners.channel.oip import DTYPES, Expected

CLIENT = Path(__file__).parents[4] / "client"
PROGRAM = """
import sys
from touchstone_client import serve
def predict(x):
    if x.shape[1] != 3:
        raise ValueError(f"expected 3 features, got {x.shape[1]}")
    return x[:, :2] * 2
serve(predict, name=sys.argv[1])
"""


def _environment(**changes: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(CLIENT), "PYTHONUNBUFFERED": "1", **changes}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def port() -> Iterator[int]:
    yield from _serving()


@pytest.fixture(scope="module")
def lasting() -> Iterator[int]:
    """One server for many requests, each of which has to leave it as it was."""
    yield from _serving()


def _serving() -> Iterator[int]:
    chosen = _free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "model"], env=_environment(TOUCHSTONE_PORT=str(chosen)), stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    assert b"serving" in process.stderr.readline()
    yield chosen
    process.terminate()
    process.wait()
    process.stderr.close()


@pytest.mark.parametrize("binary", [True, False])
def test_tritonclient_can_ask_it(port: int, binary: bool) -> None:
    http = pytest.importorskip("tritonclient.http")
    with http.InferenceServerClient(f"127.0.0.1:{port}") as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("model")
        assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
        assert client.get_model_metadata("model")["outputs"][0]["name"] == "y"
        x = np.arange(6, dtype=np.float32).reshape(2, 3)
        tensor = http.InferInput("x", [2, 3], "FP32")
        tensor.set_data_from_numpy(x, binary_data=binary)
        for _ in range(2):
            answer = client.infer("model", [tensor], outputs=[http.InferRequestedOutput("y", binary_data=binary)])
            np.testing.assert_array_equal(answer.as_numpy("y"), x[:, :2] * 2)
        wrong = http.InferInput("x", [1, 2], "FP32")
        wrong.set_data_from_numpy(np.zeros((1, 2), np.float32), binary_data=binary)
        with pytest.raises(Exception, match="expected 3 features"):
            client.infer("model", [wrong])
        assert client.infer("model", [tensor]).as_numpy("y").shape == (2, 2)


#: tritonclient sends no FP16 as JSON: the protocol has no such number.
@pytest.mark.parametrize(
    ("datatype", "binary"),
    [(datatype, binary) for datatype in ("FP64", "FP16", "INT8", "INT64", "UINT8", "UINT32", "BOOL")
     for binary in (True, False) if binary or datatype != "FP16"],
)  # fmt: skip
def test_tritonclient_sends_other_datatypes(lasting: int, datatype: str, binary: bool) -> None:
    http = pytest.importorskip("tritonclient.http")
    x = np.array([[0, 1, 1], [1, 0, 1]]).astype(DTYPES[datatype])
    with http.InferenceServerClient(f"127.0.0.1:{lasting}") as client:
        tensor = http.InferInput("x", [2, 3], datatype)
        tensor.set_data_from_numpy(x, binary_data=binary)
        answer = client.infer("model", [tensor])
        np.testing.assert_array_equal(answer.as_numpy("y"), (x[:, :2].astype(np.float64)) * 2)
        assert answer.get_output("y")["datatype"] == "FP64"


def test_tritonclient_hears_what_is_wrong(lasting: int) -> None:
    http = pytest.importorskip("tritonclient.http")
    error = pytest.importorskip("tritonclient.utils").InferenceServerException
    with http.InferenceServerClient(f"127.0.0.1:{lasting}") as client:
        assert client.get_server_metadata()["name"] == "touchstone_client"
        assert client.get_model_metadata("model", "1")["versions"] == ["1"]
        assert client.is_model_ready("model", "1")
        assert not client.is_model_ready("another")
        for ask, text in (
            (lambda: client.get_model_metadata("another"), "not offered"),
            (lambda: client.infer("another", [_tensor(http, "x")]), "not offered"),
            (lambda: client.infer("model", [_tensor(http, "z")]), "input 'x' is missing; given: z"),
            (
                lambda: client.infer("model", [_tensor(http, "x")], outputs=[http.InferRequestedOutput("q")]),
                "no output 'q'; outputs: y",
            ),
        ):
            with pytest.raises(error, match=text):
                ask()
        answer = client.infer("model", [_tensor(http, "x")], request_id="seven")
        assert answer.get_response()["id"] == "seven"


def _tensor(http: Any, name: str) -> Any:
    tensor = http.InferInput(name, [1, 3], "FP32")
    tensor.set_data_from_numpy(np.ones((1, 3), np.float32))
    return tensor


HEADER = json.dumps(
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}}]}
).encode()
INFER = b"POST /v2/models/model/infer HTTP/1.1\r\n"


def _infer(header: bytes = HEADER, data: bytes = bytes(12), *, length: str = "", size: str = "") -> bytes:
    """An infer request, with other numbers than the true ones where told."""
    body = header + data
    lines = f"Inference-Header-Content-Length: {length or len(header)}\r\nContent-Length: {size or len(body)}\r\n\r\n"
    return INFER + lines.encode() + body


#: name, request, status, part of the answer; status None: the connection ends without an answer.
REQUESTS = [
    ("right", _infer(), 200, '"outputs"'),
    ("truncated", _infer(size="500"), None, ""),
    ("header-too-long", _infer(length="5000"), 400, "is 5000, the body has"),
    ("header-no-number", _infer(length="-1"), 400, "is '-1'"),
    ("header-cuts-json", _infer(length="20"), 400, "not an Open Inference Protocol request"),
    ("fewer-bytes", _infer(data=bytes(8)), 400, "8 bytes given, shape [1, 3] needs 12"),
    ("more-bytes", _infer(data=bytes(16)), 400, "4 bytes follow the last tensor"),
    ("size-lie", _infer(HEADER.replace(b"12}", b"8}")), 400, "8 bytes given, shape [1, 3] needs 12"),
    ("negative-size", _infer(HEADER.replace(b"12}", b"-4}")), 400, "needs 12"),
    ("shape-lie", _infer(HEADER.replace(b"[1, 3]", b"[1000000, 3]")), 400, "needs 12000000"),
    ("datatype", _infer(HEADER.replace(b"FP32", b"FP99")), 400, "datatype 'FP99' is not supported"),
    ("no-json", INFER + b"Content-Length: 3\r\n\r\nabc", 400, "not an Open Inference Protocol request"),
    ("json-list", INFER + b"Content-Length: 2\r\n\r\n[]", 400, "not an Open Inference Protocol request"),
    ("no-length", INFER + b"\r\n", 400, "not an Open Inference Protocol request"),
    ("length-no-number", INFER + b"Content-Length: 1e3\r\n\r\n", 400, "Content-Length is '1e3'"),
    ("chunked", INFER + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "chunked bodies are not supported"),
    ("no-request", b"hello\r\n\r\n", 400, "not a request line"),
    ("endless-head", b"GET /v2 HTTP/1.1\r\n" + b"A: b\r\n" * 9000, 400, "headers are longer"),
    ("method", b"DELETE /v2 HTTP/1.1\r\n\r\n", 405, "not offered"),
    ("path", b"GET /v3 HTTP/1.1\r\n\r\n", 404, "not offered"),
    ("gradient", b"POST /v2/models/model/gradient HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 404, "not offered"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "status", "text"), [row[1:] for row in REQUESTS], ids=[row[0] for row in REQUESTS]
)
def test_requests_by_hand(lasting: int, request_: bytes, status: int | None, text: str) -> None:
    """Each on a connection of its own; the server answers the next one whatever came before."""
    with socket.create_connection(("127.0.0.1", lasting), timeout=5) as connection:
        connection.sendall(request_)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):  # it does not read all of an endless head
            answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode("latin-1")
    if status is None:
        assert answer == ""
    else:
        assert answer.startswith(f"HTTP/1.1 {status} ")
        assert text in answer


def test_serving_imports_nothing_but_numpy_and_the_standard_library() -> None:
    code = (
        "import sys; import touchstone_client; assert 'numpy' not in sys.modules\n"
        "from touchstone_client import serve\n"
        "import touchstone_client.bridge\n"
        "known = set(sys.stdlib_module_names) | {'numpy', 'touchstone_client', '__main__', 'sitecustomize'}\n"
        "names = {name.split('.')[0] for name, m in sys.modules.items() if getattr(m, '__file__', None)}\n"
        "print(sorted(n for n in names - known if not n.startswith(('_', 'cython'))))"
    )
    # -S: no start-up hooks of installed packages, which import at will
    program = f"import sys; sys.path.append({_site()!r})\n{code}"
    found = subprocess.run(
        [sys.executable, "-S", "-c", program], env=_environment(), capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def _site() -> str:
    return str(Path(np.__file__).parents[1])


def test_the_bridge_brings_a_server_of_another_model_name(tmp_path: Path) -> None:
    server = tmp_path / "server.py"
    server.write_text(PROGRAM)
    chosen = _free_port()
    with Listener(tmp_path) as listener:
        path = str(listener.folder / SOCKET_NAME)
        command = [sys.executable, "-m", "touchstone_client.bridge", "--port", str(chosen), "--model", "theirs", "--"]
        bridge = subprocess.Popen(
            [*command, sys.executable, str(server), "theirs"],
            env=_environment(TOUCHSTONE_SOCKET=path, TOUCHSTONE_PORT=str(chosen)), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        client = OipClient(listener, alive=lambda: None)
        deadline = time.monotonic() + 20
        client.wait_ready(deadline)
        assert client.describe(deadline)["name"] == "theirs"
        x = np.ones((2, 3), np.float32)
        found = client.infer({"x": x}, [Expected("y", (2, 2))], deadline=deadline)
        np.testing.assert_array_equal(found["y"], np.full((2, 2), 2.0))
        with pytest.raises(ServerError, match="expected 3 features"):
            client.infer({"x": x[:, :2]}, [Expected("y", (2, 2))], deadline=deadline)
        client.close()
        listener.close()  # else it dials again: the platform's program may have been restarted
        assert bridge.wait(10) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", chosen), timeout=1)


def test_the_bridge_ends_with_a_server_that_never_listens(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "touchstone_client.bridge", "--port", str(_free_port()), "--"]
    done = subprocess.run(
        [*command, sys.executable, "-c", "raise SystemExit(5)"],
        env=_environment(TOUCHSTONE_SOCKET=str(tmp_path / "s")), capture_output=True, text=True, check=False,
        timeout=20,
    )  # fmt: skip
    assert done.returncode == 5
    assert "before it listened" in done.stderr


def test_requests_over_tcp_do_not_wait_for_each_other(port: int) -> None:
    """A client that opens a connection and says nothing must not block the next one."""
    idle = socket.create_connection(("127.0.0.1", port))
    answers: list[bytes] = []

    def ask() -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as other:
            other.sendall(b"GET /v2/health/ready HTTP/1.1\r\nConnection: close\r\n\r\n")
            answers.append(other.recv(1000))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(5)
    idle.close()
    assert answers
    assert answers[0].startswith(b"HTTP/1.1 200")
