"""`serve` at home, asked by an independent client (Triton's), and the bridge to an existing server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runners.channel.client import OipClient
from runners.channel.errors import ServerError
from runners.channel.listener import SOCKET_NAME, Listener
from runners.channel.oip import Expected

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
    server.write_text("import os\ndel os.environ['TOUCHSTONE_SOCKET']\n" + PROGRAM)
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
