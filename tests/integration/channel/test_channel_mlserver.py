"""Our client against MLServer, a server that nobody here wrote: it knows neither binary tensors nor frames."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from runners.channel import bridging
from runners.channel.client import OipClient
from runners.channel.errors import ChannelTimeout, ServerError
from runners.channel.listener import SOCKET_NAME, Listener
from runners.channel.oip import Expected
from scripts.processes import spawn, stop
from tests.conftest import need
from tests.integration import mlserverkit
from tests.integration.waiting import said

CLIENT = Path(__file__).parents[3] / "client"
Y = Expected("y", (4, 2), ("FP32", "FP64"))


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]


@pytest.fixture(params=["python", "native"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OipClient]:
    """MLServer behind each of the two bridges: the module, and the program for images without Python."""
    found = mlserverkit.program()
    need(isinstance(found, Path), f"MLServer ({found})", switch="REQUIRE_MLSERVER")
    folder = tmp_path / "models"
    folder.mkdir()
    port, grpc_port, metrics_port = _free_ports(3)
    mlserverkit.configure(folder, port=port, grpc_port=grpc_port, metrics_port=metrics_port)
    with Listener(tmp_path) as listener:
        if request.param == "python":
            bridge = [sys.executable, "-m", "touchstone_client.bridge", "--port", str(port), "--model", "theirs"]
        else:
            bridge = [str(bridging.program()), str(port)]
        log = tmp_path / "mlserver.log"
        process = spawn(
            [*bridge, "--", str(found), "start", "."], log=log, cwd=folder,
            env={
                "PATH": os.environ["PATH"], "PYTHONPATH": str(CLIENT) if request.param == "python" else "",
                "HOME": str(tmp_path), "TOUCHSTONE_SOCKET": str(listener.folder / SOCKET_NAME),
            },
        )  # fmt: skip

        def alive() -> None:
            assert process.poll() is None, f"MLServer ended{said([log])}"

        made = OipClient(listener, alive=alive, model="model" if request.param == "python" else "theirs")
        try:
            try:
                made.wait_ready(time.monotonic() + 60)
            except ChannelTimeout as error:
                pytest.fail(f"MLServer was not ready within 60 s: {error}{said([log])}", pytrace=False)
            yield made
        finally:
            made.close()
            listener.close()
            try:
                assert process.wait(20) == 0, f"MLServer failed{said([log])}"
            except subprocess.TimeoutExpired:
                pytest.fail(f"MLServer did not end within 20 s after its line was cut{said([log])}", pytrace=False)
            finally:
                stop(process)


def test_our_client_falls_back_to_json_tensors(client: OipClient) -> None:
    deadline = time.monotonic() + 30
    metadata = client.describe(deadline)
    assert metadata["name"] == "theirs"
    assert metadata["inputs"][0]["name"] == "x"
    assert (client.framed, client.binary) == (False, False)
    rng = np.random.default_rng(0)
    for _ in range(3):
        x = rng.random((4, 3), dtype=np.float32)
        found = client.infer({"x": x}, [Y], deadline=deadline)
        np.testing.assert_array_equal(found["y"].astype(np.float32), x[:, :2] * 2)
    with pytest.raises(ServerError) as caught:
        client.infer({"x": x[:, :2]}, [Y], deadline=deadline)
    assert caught.value.status >= 400
    assert client.infer({"x": x}, [Y], deadline=deadline)["y"].shape == (4, 2)
    time.sleep(6)  # longer than its server keeps an idle connection
    assert client.infer({"x": x}, [Y], deadline=deadline)["y"].shape == (4, 2)
