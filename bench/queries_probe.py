"""Opens every way of asking at once and asks them in turns. See `bench.queries`."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from bench import resnet
from bench.echo import Echo
from bench.rounds import alternate, say
from runners.channel.client import OipClient
from runners.channel.listener import Listener
from runners.channel.oip import Expected
from runners.engines import choose_engine
from runners.engines.base import Job, Limits
from runners.models.opening import open_model
from runners.models.served import ServedModel
from runners.models.weights_server import _runtime_session, _torch_model
from runners.spec.models import InputSpec, ResourceSpec, TaskSpec
from scripts.stack import ROOT

Predict = Callable[[Any], Any]
#: Bytes of an answer of ten float64 with its header: what the echo sends back for the same question.
_REPLY = 320
_CLASSES = tuple(f"c{n}" for n in range(10))
_MAIN = textwrap.dedent('''
    """A linear model on 3x32x32 items: next to no work, so that what is left is the way there and back."""

    import numpy as np

    WEIGHTS = np.random.default_rng(0).standard_normal((3072, 10)).astype(np.float32)


    def predict(x):
        return x.reshape(len(x), -1) @ WEIGHTS


    if __name__ == "__main__":
        from touchstone_client import serve

        serve(predict)
''').lstrip()

_IDLE = textwrap.dedent('''
    """Answers without a thought."""

    import numpy as np

    ANSWER = np.linspace(0.0, 1.0, 10)[None]


    def predict(x):
        return ANSWER


    if __name__ == "__main__":
        from touchstone_client import serve

        serve(predict)
''').lstrip()


def main() -> int:
    asked = json.load(sys.stdin)
    engines, told = {}, {}
    for name in asked["engines"]:
        say(f"queries: self-test of {name}")
        engine, reports = choose_engine(name)
        told[name] = {"ok": reports[0].ok, "version": reports[0].version, "problems": list(reports[0].problems)}
        if engine is not None:
            engines[name] = engine
    rates = {}
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as work:
        workloads = {"query_12kib": _query, "items_12kib": _small, "garments_64": _garments, "resnet18_64": _resnet}
        for name, workload in workloads.items():
            with ExitStack() as stack:
                folder = Path(work) / name
                folder.mkdir(mode=0o755)
                ways = workload(stack, folder, engines)
                say(f"queries: {name} by {', '.join(ways)}")
                measured = _medians if name == "query_12kib" else _rates
                rates[name] = measured(ways, rounds=asked["rounds"], seconds=asked["seconds"])
    json.dump({"engines": told, "rates": rates}, sys.stdout)
    return 0


def _rates(ways: dict[str, tuple[Callable[[], Any], int]], *, rounds: int, seconds: float) -> dict[str, list[float]]:
    for call, _ in ways.values():
        call()
    cases = {name: lambda call=call, items=items: _rate(call, items, seconds) for name, (call, items) in ways.items()}
    return alternate(cases, rounds=rounds)


def _medians(ways: dict[str, tuple[Callable[[], Any], int]], *, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Median seconds of one call by way and round."""
    for call, _ in ways.values():
        _repeat(call, seconds / 2)
    cases = {name: lambda call=call: _median(call, seconds) for name, (call, _) in ways.items()}
    return alternate(cases, rounds=rounds)


def _median(call: Callable[[], Any], seconds: float) -> float:
    _repeat(call, seconds / 10)
    took: list[float] = []
    until = time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        call()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def _rate(call: Callable[[], Any], items: int, seconds: float) -> float:
    """Items a second; `call` asks for `items`. A tenth of the time goes first, uncounted, to wake the other side."""
    _repeat(call, seconds / 10)
    calls, took = _repeat(call, seconds)
    return calls * items / took


def _repeat(call: Callable[[], Any], seconds: float) -> tuple[int, float]:
    began = time.perf_counter()
    calls = 0
    while (took := time.perf_counter() - began) < seconds:
        call()
        calls += 1
    return calls, took


def _query(stack: ExitStack, folder: Path, engines: dict[str, Any]) -> dict[str, tuple[Callable[[], Any], int]]:
    """The way there and back alone: what the model computes, and what the judge makes of it, is no part of it."""
    x = np.random.default_rng(1).random((1, 3, 32, 32), dtype=np.float32)
    expected = [Expected("y", (1, 10), ("FP64",))]
    until = time.monotonic() + 600
    code = folder / "code"
    code.mkdir()
    (code / "main.py").write_text(_IDLE)
    answer = _module(code / "main.py").predict(x)
    ways: dict[str, tuple[Callable[[], Any], int]] = {}
    for name, engine in engines.items():
        client = _client(stack, engine, code, folder)
        if not np.array_equal(client.infer({"x": x}, expected, deadline=until)["y"], answer):
            raise RuntimeError("the sandboxed model gives another answer")
        ways[name] = (lambda client=client: client.infer({"x": x}, expected, deadline=until), 1)
    echo = stack.enter_context(Echo(folder, reply=_REPLY))
    body = x.tobytes()
    return {**ways, "http_echo": (lambda: echo.ask(body), 1)}


def _client(stack: ExitStack, engine: Any, code: Path, folder: Path) -> OipClient:
    """A conversation with a sandbox, as the judge has it."""
    for entry in (code, *code.iterdir()):
        entry.chmod(0o755)  # the sandbox's user is nobody
    listener = stack.enter_context(Listener(folder))
    limits = Limits(memory=2**30, cpus=1, seconds=600, tmp=2**26)
    job = Job(
        run=f"bench-{os.getpid()}-query", attempt=1, limits=limits, argv=("python", "main.py"), folder=code,
        channel=listener.folder,
    )  # fmt: skip
    sandbox = engine.start(job)
    stack.callback(sandbox.close)
    client = OipClient(listener, alive=lambda: None)
    stack.callback(client.close)
    client.wait_ready(time.monotonic() + 60)
    client.describe(time.monotonic() + 60)
    return client


def _small(stack: ExitStack, folder: Path, engines: dict[str, Any]) -> dict[str, tuple[Callable[[], Any], int]]:
    shape = (3, 32, 32)
    x = np.random.default_rng(1).random((1, *shape), dtype=np.float32)
    code = folder / "code"
    code.mkdir()
    (code / "main.py").write_text(_MAIN)
    predict: Predict = _module(code / "main.py").predict
    ways: dict[str, tuple[Callable[[], Any], int]] = {}
    for name, engine in engines.items():
        model = stack.enter_context(_open(engine, name, "code", code, shape, folder))
        _agree(model, predict, x)
        ways[name] = (lambda model=model: model.predict(x), 1)
    echo = stack.enter_context(Echo(folder, reply=_REPLY))
    body = x.tobytes()
    return {**ways, "in_process": (lambda: predict(x), 1), "http_echo": (lambda: echo.ask(body), 1)}


def _garments(stack: ExitStack, folder: Path, engines: dict[str, Any]) -> dict[str, tuple[Callable[[], Any], int]]:
    shape = (1, 28, 28)
    x = np.random.default_rng(1).random((64, *shape), dtype=np.float32)
    model_folder = folder / "model"
    model_folder.mkdir()
    path = model_folder / "model.onnx"
    shutil.copyfile(ROOT / "competitions" / "garments" / "baselines" / "cnn.onnx", path)
    predict = _in_process(path)
    ways: dict[str, tuple[Callable[[], Any], int]] = {}
    for name, engine in engines.items():
        model = stack.enter_context(_open(engine, name, "model", model_folder, shape, folder))
        _agree(model, predict, x)
        ways[name] = (lambda model=model: model.predict(x), len(x))
    return {**ways, "in_process": (lambda: predict(x), len(x))}


def _resnet(stack: ExitStack, folder: Path, engines: dict[str, Any]) -> dict[str, tuple[Callable[[], Any], int]]:
    shape = (3, 64, 64)
    x = np.random.default_rng(1).random((64, *shape), dtype=np.float32)
    model_folder = folder / "model"
    model_folder.mkdir()
    path = model_folder / "model.onnx"
    resnet.write(path, size=shape[-1])
    predict: Predict = _runtime_session(path)[0]
    ways: dict[str, tuple[Callable[[], Any], int]] = {}
    for name, engine in engines.items():
        model = stack.enter_context(_open(engine, name, "model", model_folder, shape, folder))
        for _ in range(4):  # until the size of its batches is found
            _agree(model, predict, x)
        ways[name] = (lambda model=model: model.predict(x), len(x))
    return {**ways, "in_process": (lambda: predict(x), len(x))}


def _open(engine: Any, name: str, kind: str, code: Path, shape: tuple[int, ...], folder: Path) -> ServedModel:
    work = folder / f"work-{name}"
    work.mkdir()
    return open_model(
        engine, kind=kind, folder=code,
        input=InputSpec(kind="image", shape=shape, range=(0.0, 1.0), output="logits"),
        task=TaskSpec(kind="multiclass", classes=_CLASSES),
        resources=ResourceSpec(cpus=1, memory=2**31, time=600, start=60),
        run=f"bench-{os.getpid()}-{kind}", attempt=1, workdir=work, deadline=time.monotonic() + 600,
    )  # fmt: skip


def _module(path: Path) -> ModuleType:
    """The participant's program, imported instead of run."""
    found = ModuleType("bench_submission")
    exec(compile(path.read_text(), str(path), "exec"), found.__dict__)
    return found


def _in_process(path: Path) -> Predict:
    """The platform's own torch model, as the weights server makes it."""
    import onnx
    import torch

    torch.set_num_threads(1)
    return _torch_model(path, onnx.load(path), probabilities=False, memory=2**30).predict


def _agree(model: ServedModel, predict: Predict, x: Any) -> None:
    """Both ways must answer the same, or they are not the same model."""
    logits = np.asarray(predict(x), dtype=np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    if not np.allclose(model.predict(x), shares, atol=1e-4):
        raise RuntimeError("the sandboxed model and the one in process give different answers")


if __name__ == "__main__":
    raise SystemExit(main())
