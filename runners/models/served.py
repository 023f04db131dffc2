"""A submission that is asked while it runs in a sandbox: container, code, or an ONNX file the platform serves."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from runners.channel.client import OipClient
from runners.channel.errors import ChannelError, ChannelTimeout
from runners.channel.listener import Listener
from runners.channel.oip import Expected
from runners.contract import Verdict
from runners.engines.base import Engine, Exit, Job, Limits, Sandbox
from runners.errors import ParticipantFault, RetryableError
from runners.models import _answers, _faults
from runners.models.base import Access, Gradient, Loss
from runners.spec.models import InputSpec, ResourceSpec, SubmissionKind, TaskSpec

_MOST_ITEMS = 256
_MOST_BYTES = 16 * 2**20
_GRADIENT_ITEMS = 64
_MODEL_FILE = "model.onnx"
#: How long a sandbox whose connection broke may take to end by itself, before it is ended.
_DYING = 2.0


class ServedModel:
    """Implements `runners.models.base.Model`. Made by `open_model`; close it, or use it in a `with`.

    `reasons` says, for each access it does not give, why.
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
        self.queries = 0
        self.calls = 0
        self._sandbox = sandbox
        self._listener = listener
        self._input = input
        self._task = task
        self._resources = resources
        self._deadline = deadline
        self._client = OipClient(listener, alive=self._check_alive)
        self._names = ("x", "")
        self._closed = False
        self._note = b""
        self._trusted = False

    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Class probabilities, (n, classes), rows sum to one, for x of shape (n, *shape).

        Raises `ParticipantFault` where the submission dies, is late or answers nonsense.
        """
        x = self._checked(x)
        step = self._step(_MOST_ITEMS)
        parts = [self._predict(x[start : start + step]) for start in range(0, len(x), step)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self._task.classes)))

    def gradient(
        self, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], *, loss: Loss = "cross_entropy"
    ) -> Gradient:
        """Loss of x against y and its gradient. Raises `NotImplementedError` unless `gradients` is in `access`."""
        if "gradients" not in self.access:
            raise NotImplementedError(self.reasons.get("gradients", "this submission gives no gradients"))
        x, y = self._checked(x), np.ascontiguousarray(y, dtype=np.int64)
        step = self._step(_GRADIENT_ITEMS)
        parts = [self._gradient(x[i : i + step], y[i : i + step], loss) for i in range(0, len(x), step)]
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
        except ChannelError as error:
            raise self._fault(error, starting=True) from error
        if not trusted:
            self.reasons["gradients"] = "the platform has no weights of it to differentiate; send a `model` for that"
            return
        offer = metadata.get("parameters") or {}
        if offer.get("gradients"):
            self.access = frozenset({"queries", "gradients"})
        else:
            self.reasons["gradients"] = str(offer.get("reason", "")) or "the server offers none"

    def _checked(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if x.shape[1:] != self._input.shape:
            raise ValueError(f"items of shape {x.shape[1:]}, expected {self._input.shape}")
        return np.ascontiguousarray(x, dtype=np.float32)

    def _step(self, most: int) -> int:
        size = 4 * int(np.prod(self._input.shape))
        return max(1, min(most, _MOST_BYTES // size))

    def _predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        name_in, name_out = self._names
        expected = Expected(name_out, (len(x), len(self._task.classes)), ("FP32", "FP64"))
        try:
            answer = self._client.infer({name_in: x}, [expected], deadline=self._deadline)[name_out]
            self._count(len(x))
            return _answers.probabilities(answer, kind=self._input.output, first=self.queries - len(x))
        except ChannelError as error:
            raise self._fault(error) from error

    def _gradient(self, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], loss: Loss) -> dict[str, Any]:
        expected = [
            Expected("loss", (len(x),), ("FP64",)),
            Expected("gradient", x.shape, ("FP32",)),
            Expected("logits", (len(x), len(self._task.classes)), ("FP64",)),
        ]
        given: dict[str, npt.NDArray[Any]] = {self._names[0]: x, "y": y}
        try:
            answer = self._client.infer(
                given, expected, deadline=self._deadline, action="gradient", parameters={"loss": loss}
            )
            self._count(len(x))
            return _answers.finite(answer)
        except ChannelError as error:
            raise self._fault(error) from error

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
        if isinstance(error, ChannelTimeout) and ended is not None and not (ended.memory or ended.lost):
            ended = None  # it ended because nobody asked any more: being late is what it did
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
) -> ServedModel:
    """Start a submission and wait until it is ready.

    Args:
        kind: `container` (needs `image`), `code` (`folder` with main.py) or `model` (`folder` with model.onnx).
        workdir: an existing folder of the platform for the channel's socket.
        deadline: monotonic seconds at which the run's time is over.

    Raises `ParticipantFault` (timeout, memory, crash, invalid_output) where it does not come up, and
    `RetryableError` where the engine fails.
    """
    kind = SubmissionKind(kind)
    argv, shown = _command(kind, folder=folder, image=image, input=input, resources=resources)
    left = deadline - time.monotonic()
    if left <= 0:
        raise ParticipantFault(Verdict.TIMEOUT, "The run's time was over before the submission was started.")
    listener = Listener(workdir)
    try:
        limits = Limits(
            memory=resources.memory, cpus=resources.cpus, seconds=left, tmp=resources.disk, log=resources.log
        )
        job = Job(
            run=run, attempt=attempt, limits=limits, argv=argv, image=image, folder=shown, channel=listener.folder
        )
        sandbox = engine.start(job)
    except BaseException:
        listener.close()
        raise
    model = ServedModel(sandbox, listener, input=input, task=task, resources=resources, deadline=deadline)
    try:
        model.start(trusted=kind is SubmissionKind.MODEL)
    except ParticipantFault as fault:
        model.close()
        raise _faults.with_log(fault, model.logs()) from fault.__cause__
    except BaseException:
        model.close()
        raise
    return model


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
