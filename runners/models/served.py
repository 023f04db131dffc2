"""A submission that is asked while it runs in a sandbox: container, code, or an ONNX file the platform serves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from runners.channel import bridging
from runners.channel.client import OipClient
from runners.channel.errors import ChannelError
from runners.channel.listener import Listener
from runners.channel.oip import Expected
from runners.contract import Verdict
from runners.engines.base import Engine, Exit, Job, Limits, ReadsImages, Sandbox
from runners.errors import ParticipantFault, RetryableError
from runners.models import _answers, _faults
from runners.models._batches import BatchSize
from runners.models.base import Access, Gradient, Loss
from runners.spec.models import InputSpec, ResourceSpec, SubmissionKind, TaskSpec

#: The most items and input bytes of one call; how many it is within that, `BatchSize` finds out.
_MOST_ITEMS = 256
_MOST_BYTES = 16 * 2**20
_GRADIENT_ITEMS = 64
_MODEL_FILE = "model.onnx"
#: How long a sandbox whose connection broke may take to end by itself, before it is ended.
_DYING = 2.0
T = TypeVar("T")


class ServedModel:
    """Implements `runners.models.base.Model`. Made by `open_model`; close it, or use it in a `with`.

    `reasons` says, for each access it does not give, why; `offer` is what the platform's own server told of a model.
    `adopted`: an attempt before this one started it. `waited`: seconds it waited for a machine of a cluster, which are
    no part of the run's time.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        listener: Listener,
        *,
        input: InputSpec,  # noqa: A002 - the contract's word
        task: TaskSpec,
        resources: ResourceSpec,
        deadline: float,
    ) -> None:
        self.access: frozenset[Access] = frozenset({"queries"})
        self.reasons: dict[str, str] = {}
        self.offer: dict[str, Any] = {}
        self.queries = 0
        self.calls = 0
        self.adopted = False
        self.waited = 0.0
        self._sandbox = sandbox
        self._listener = listener
        self._input = input
        self._task = task
        self._resources = resources
        self._deadline = deadline
        self._client = OipClient(listener, alive=self._check_alive)
        self._names = ("x", "")
        self._item_bytes = 4 * math.prod(input.shape)
        self._batches = {"infer": self._batch_size(_MOST_ITEMS), "gradient": self._batch_size(_GRADIENT_ITEMS)}
        self._expected: list[Expected] = []
        self._closed = False
        self._note = b""
        self._trusted = False

    def ask_for(self, model: str) -> None:
        """Ask for a model of this name instead of `model`; before `start`."""
        self._client = OipClient(self._listener, alive=self._check_alive, model=model)

    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Class probabilities, (n, classes), rows sum to one, for x of shape (n, *shape).

        Raises `ParticipantFault` where the submission dies, is late or answers nonsense.
        """
        x = self._checked(x)
        if len(x) == 1:  # nothing to divide: the question of most attacks
            try:
                return self._predict(x)
            except ChannelError as error:
                raise self._fault(error) from error
        parts = self._in_batches("infer", self._predict, x)
        return np.concatenate(parts) if parts else np.zeros((0, len(self._task.classes)))

    def gradient(
        self, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], *, loss: Loss = "cross_entropy"
    ) -> Gradient:
        """Loss of x against y and its gradient. Raises `NotImplementedError` unless `gradients` is in `access`."""
        if "gradients" not in self.access:
            raise NotImplementedError(self.reasons.get("gradients", "this submission gives no gradients"))
        x, y = self._checked(x), np.ascontiguousarray(y, dtype=np.int64)
        parts = self._in_batches("gradient", lambda part, labels: self._gradient(part, labels, loss), x, y)
        if not parts:
            return Gradient(np.zeros(0), x, np.zeros((0, len(self._task.classes))))
        joined = [np.concatenate([part[name] for part in parts]) for name in ("loss", "gradient", "logits")]
        return Gradient(*joined)

    def logs(self) -> bytes:
        """The last bytes of stdout and stderr of the submission, and what of its answer cannot be shown elsewhere."""
        return self._sandbox.logs() + self._note

    def peak_memory(self) -> int | None:
        """Peak bytes of the sandbox so far, or None where the engine cannot tell."""
        return self._sandbox.peak_memory()

    def exit(self) -> Exit | None:
        """How the sandbox ended; None while it runs."""
        return self._sandbox.poll()

    def close(self) -> None:
        """Hang up, end the sandbox and remove what it left; logs stay readable. Safe to repeat."""
        if self._closed:
            return
        self._closed = True
        self._client.close()
        try:
            self._sandbox.peak_memory()  # the last look while it runs
            self._sandbox.close()
        finally:
            self._listener.close()

    def __enter__(self) -> ServedModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, *, trusted: bool) -> None:
        """Wait until it is ready; `trusted`: it is the platform's own server, whose offer of gradients counts."""
        self._trusted = trusted
        limit = time.monotonic() + self._resources.start
        try:
            self._client.wait_ready(min(limit, self._deadline))
            metadata = self._client.describe(min(limit, self._deadline))
            self._names = _answers.tensor_names(metadata)
            for batch in self._batches.values():
                batch.started()
        except ChannelError as error:
            raise self._fault(error, starting=True) from error
        if not trusted:
            self.reasons["gradients"] = "the platform has no weights of it to differentiate; send a `model` for that"
            return
        self.offer = dict(metadata.get("parameters") or {})
        if self.offer.get("gradients"):
            self.access = frozenset({"queries", "gradients"})
        else:
            self.reasons["gradients"] = str(self.offer.get("reason", "")) or "the server offers none"

    def _checked(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if x.shape[1:] != self._input.shape:
            raise ValueError(f"items of shape {x.shape[1:]}, expected {self._input.shape}")
        return np.asarray(x, dtype=np.float32)

    def _batch_size(self, most: int) -> BatchSize:
        return BatchSize(
            most=max(1, min(most, _MOST_BYTES // self._item_bytes)), memory=self._resources.memory,
            item_bytes=self._item_bytes, peak=self._sandbox.peak_memory,
        )  # fmt: skip

    def _in_batches(self, action: str, ask: Callable[..., T], *columns: npt.NDArray[Any]) -> list[T]:
        """`ask` about the items, as many at once as were found to be right."""
        batch, answers, start, total = self._batches[action], [], 0, len(columns[0])
        while start < total:
            part = [column[start : start + batch.items] for column in columns]
            items = len(part[0])
            began = time.perf_counter()
            try:
                answers.append(ask(*part))
            except ChannelError as error:
                if _faults.refused_memory(error) and batch.refused(items):
                    continue
                raise self._fault(error) from error
            batch.answered(items, time.perf_counter() - began)
            start += items
        return answers

    def _predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        name_in, name_out = self._names
        if not self._expected or self._expected[0].shape[0] != len(x):
            self._expected = [Expected(name_out, (len(x), len(self._task.classes)), ("FP32", "FP64"))]
        answer = self._client.infer({name_in: x}, self._expected, deadline=self._deadline)[name_out]
        self._count(len(x))
        return _answers.probabilities(answer, kind=self._input.output, first=self.queries - len(x))

    def _gradient(self, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], loss: Loss) -> dict[str, Any]:
        expected = [
            Expected("loss", (len(x),), ("FP64",)),
            Expected("gradient", x.shape, ("FP32",)),
            Expected("logits", (len(x), len(self._task.classes)), ("FP64",)),
        ]
        given: dict[str, npt.NDArray[Any]] = {self._names[0]: x, "y": y}
        answer = self._client.infer(
            given, expected, deadline=self._deadline, action="gradient", parameters={"loss": loss}
        )
        self._count(len(x))
        return _answers.finite(answer)

    def _count(self, items: int) -> None:
        self.queries += items
        self.calls += 1

    def _check_alive(self) -> None:
        ended = self._sandbox.poll()
        if ended is not None:
            raise _faults.from_exit(ended, self._resources, queries=self.queries)

    def _fault(self, error: ChannelError, *, starting: bool = False) -> ParticipantFault | RetryableError:
        """The verdict: how the sandbox ended says more than how the conversation did."""
        if error.detail and not starting:
            self._note = f"\n[platform] {error}: {error.detail}\n".encode()
        if _faults.is_broken(error):
            self._sandbox.wait(min(_DYING, max(0.0, self._deadline - time.monotonic())))
        ended = self._sandbox.poll()
        if ended is None and _faults.is_broken(error):
            # A child may have been killed for memory while its parent lives: ending the sandbox tells.
            self._sandbox.kill()
            killed = self._sandbox.poll()
            ended = killed if killed is not None and (killed.memory or killed.lost) else None
        if ended is not None and not (_faults.is_broken(error) or ended.memory or ended.lost):
            ended = None  # it ended because the platform hung up: what it did before that counts
        if ended is not None:
            return _faults.from_exit(ended, self._resources, queries=self.queries)
        late = time.monotonic() >= self._deadline
        return _faults.from_channel(
            error, self._resources, starting=starting and not late, queries=self.queries, ours=self._trusted
        )


def open_model(
    engine: Engine,
    *,
    kind: SubmissionKind | str,
    folder: Path | None = None,
    image: str | None = None,
    input: InputSpec,  # noqa: A002 - the contract's word
    task: TaskSpec,
    resources: ResourceSpec,
    run: str,
    attempt: int,
    workdir: Path,
    deadline: float,
    lasting: Path | None = None,
    gpus: tuple[str, ...] = (),
    watch: Callable[[Callable[[], bytes]], None] = lambda _logs: None,
) -> ServedModel:
    """Start a submission, or take over what an attempt before left running, and wait until it is ready.

    Args:
        kind: `container` (needs `image`), `code` (`folder` with main.py) or `model` (`folder` with model.onnx).
        workdir: an existing folder of the platform for the channel's socket.
        deadline: monotonic seconds at which the run's time is over.
        lasting: folder for the socket instead, the same for all attempts: only with it can a sandbox be taken over.
        gpus: devices by UUID that are this run's alone.
        watch: is given the sandbox's `logs` before it is ready, for who wants to follow them; never that of an
            adopted one, which has met secret inputs already.

    Raises `ParticipantFault` (timeout, memory, crash, invalid_output) where it does not come up, and
    `RetryableError` where the engine fails.
    """
    kind = SubmissionKind(kind)
    argv, shown = _command(kind, folder=folder, image=image, input=input, resources=resources)
    bridged, argv = _bridged(engine, image, argv)
    opening = _Opening(
        engine=engine, input=input, task=task, resources=resources, deadline=deadline, workdir=workdir,
        lasting=lasting, bridged=bridged, watch=watch, trusted=kind is SubmissionKind.MODEL,
        job=Job(
            run=run, attempt=attempt, limits=_limits(resources, deadline), argv=argv, image=image, folder=shown,
            gpus=gpus,
        ),
    )  # fmt: skip
    model = opening.attach(engine.adopt) if attempt > 1 and lasting is not None else None
    model = model or opening.attach(engine.start)
    assert model is not None  # only a sandbox to take over may be missing
    return model


@dataclass(frozen=True)
class _Opening:
    """What `open_model` was given. `job` lacks its channel, which is made for each try."""

    engine: Engine
    job: Job
    input: InputSpec
    task: TaskSpec
    resources: ResourceSpec
    deadline: float
    workdir: Path
    lasting: Path | None
    bridged: bridging.Bridged | None
    watch: Callable[[Callable[[], bytes]], None]
    trusted: bool

    def attach(self, take: Callable[[Job], Sandbox | None]) -> ServedModel | None:
        """A sandbox by `take` (`start` or `adopt` of the engine) that is ready; None where there is none to adopt."""
        listener = Listener(self.workdir) if self.lasting is None else Listener(self.lasting, name=self.job.run)
        try:
            if self.bridged is not None:
                bridging.show(listener.folder)
            limits = _limits(self.resources, self.deadline)
            sandbox = take(replace(self.job, limits=limits, channel=listener.folder))
        except BaseException:
            listener.close()
            raise
        if sandbox is None:
            listener.close()
            return None
        return self._ready(sandbox, listener, adopted=take == self.engine.adopt)

    def _ready(self, sandbox: Sandbox, listener: Listener, *, adopted: bool) -> ServedModel | None:
        # A cluster's queue is no part of the run's time: such a sandbox tells how long it waited for its machine.
        waited = sandbox.waited
        model = ServedModel(
            sandbox, listener, input=self.input, task=self.task, resources=self.resources,
            deadline=self.deadline + waited,
        )  # fmt: skip
        model.adopted, model.waited = adopted, waited
        if self.bridged is not None:
            model.ask_for(self.bridged.model)
        if not adopted:  # what it wrote for the attempt before may tell of secret inputs, and it may write it again
            self.watch(model.logs)
        try:
            model.start(trusted=self.trusted)
        except ParticipantFault as fault:
            model.close()
            if adopted:
                return None  # it may have ended for want of a platform: no doing of its own
            raise _faults.with_log(fault, model.logs()) from fault.__cause__
        except BaseException:
            model.close()
            raise
        return model


def _limits(resources: ResourceSpec, deadline: float) -> Limits:
    left = deadline - time.monotonic()
    if left <= 0:
        raise ParticipantFault(Verdict.TIMEOUT, "The run's time was over before the submission was started.")
    return Limits(memory=resources.memory, cpus=resources.cpus, seconds=left, tmp=resources.disk, log=resources.log)


def _bridged(
    engine: Engine, image: str | None, argv: tuple[str, ...]
) -> tuple[bridging.Bridged | None, tuple[str, ...]]:
    """What an image of a server that listens on TCP asks for, and how it is then started."""
    if image is None or not isinstance(engine, ReadsImages):
        return None, argv
    told = engine.image_config(image)
    found = bridging.wanted(told.labels, told.command)
    return found, argv if found is None else found.argv(told.command)


def _command(
    kind: SubmissionKind,
    *,
    folder: Path | None,
    image: str | None,
    input: InputSpec,  # noqa: A002
    resources: ResourceSpec,
) -> tuple[tuple[str, ...], Path | None]:
    if kind is SubmissionKind.CONTAINER:
        if image is None:
            raise ValueError("a container submission needs an image")
        return (), None
    if folder is None:
        raise ValueError(f"a {kind} submission needs a folder")
    _faults.make_readable(folder)
    if kind is SubmissionKind.CODE:
        return ("python", "main.py"), folder
    options = ("--output", input.output, "--memory", str(resources.memory))
    return ("python", "-m", "runners.models.weights_server", f"/submission/{_MODEL_FILE}", *options), folder
