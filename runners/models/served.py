"""A submission that is asked while it runs in a sandbox: container, code, or an ONNX file the platform serves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from runners.channel.asking import Asking
from runners.channel.client import OipClient
from runners.channel.errors import ChannelError, ServerError
from runners.channel.listener import Listener
from runners.channel.oip import Expected
from runners.engines.base import Exit, Sandbox
from runners.errors import ParticipantFault, RetryableError
from runners.models import _answers, _faults
from runners.models._batches import BatchSize
from runners.models.base import Access, Gradient, Loss, SizeRefused
from runners.spec.models import InputSpec, ResourceSpec, TaskSpec

#: The most items and input bytes of one call; how many it is within that, `BatchSize` finds out.
_MOST_ITEMS = 256
_MOST_BYTES = 16 * 2**20
_GRADIENT_ITEMS = 64
T = TypeVar("T")


class ServedModel:
    """Implements `runners.models.base.Model`. Made by `opening.open_model`; close it, or use it in a `with`.

    `reasons` says, for each access it does not give, why; `offer` is what the platform's own server told of a model.
    `adopted`: an attempt before this one started it. `waited`: seconds it waited for a machine of a cluster, which are
    no part of the run's time. `reserve`: seconds that `excuse` may still add. `bridged`: its server listens on TCP.
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
        reserve: float = 0.0,
    ) -> None:
        self.access: frozenset[Access] = frozenset({"queries"})
        self.reasons: dict[str, str] = {}
        self.unknowable = ""  # why nothing can be said of how much it takes, where that is so
        self.offer: dict[str, Any] = {}
        self.privacy: dict[str, float] = {}
        self.queries = 0
        self.calls = 0
        self.adopted = False
        self.waited = 0.0
        self.bridged, self.samples_memory = False, sandbox.samples_memory
        self._sandbox = sandbox
        self._listener = listener
        self._input = input
        self._task = task
        self._resources = resources
        self._deadline = deadline
        self.reserve = reserve
        self._client: Asking = OipClient(listener, alive=self._check_alive)
        self._names = ("x", "")
        self._item_bytes = 4 * math.prod(input.shape)
        self._batches = {
            "infer": self._batch_size(_MOST_ITEMS), "gradient": self._batch_size(_GRADIENT_ITEMS),
            "explain": self._batch_size(_GRADIENT_ITEMS),
        }  # fmt: skip
        self._attribution: tuple[int, ...] | None = None
        self._expected: list[Expected] = []
        self._closed = False
        self._note = b""
        self._trusted = False

    def ask_for(self, model: str) -> None:
        """Ask for a model of this name instead of `model`, through the bridge to its server; before `start`."""
        self.bridged = True
        self._client = OipClient(self._listener, alive=self._check_alive, model=model)

    def remaining(self) -> float:
        """Seconds of the run's time that are left."""
        return self._deadline - time.monotonic()

    def excuse(self, seconds: float) -> None:
        """So much of the run's time went on something that is none of the submission's: it gets it back."""
        given = max(0.0, min(seconds, self.reserve))
        self.reserve -= given
        self._deadline += given

    def follow(self, other: ServedModel) -> None:
        """Be asked as `other` is now: in the same form of the protocol, with as many items at once."""
        self._client.framed, self._client.binary = other._client.framed, other._client.binary
        batch = self._batches["infer"]
        batch.items, batch.settled = other._batches["infer"].items, True

    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Class probabilities, (n, classes), rows sum to one, for x of shape (n, *shape).

        Items of another shape that `input.sizes` allows travel in one question. Raises `ParticipantFault` where the
        submission dies, is late or answers nonsense, and `SizeRefused` where it has no answer to another shape.
        """
        if x.shape[1:] != self._input.shape and self._input.allows(x.shape[1:]):
            return self._predict_sized(np.asarray(x, dtype=np.float32))
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
        return self._differentiated(x, np.ascontiguousarray(y, dtype=np.int64), loss)

    @property
    def pulls(self) -> bool:
        """Whether its server knows the loss that `pull` asks for; one of an image made earlier does not."""
        return "gradients" in self.access and self.offer.get("weighted") is True

    def pull(self, x: npt.NDArray[np.float32], weights: npt.NDArray[np.float64]) -> Gradient:
        """The sum of `weights` (n, classes) times the logits of each item, and its gradient; where `pulls`."""
        return self._differentiated(x, np.ascontiguousarray(weights, dtype=np.float64), "weighted")

    def _differentiated(self, x: npt.NDArray[np.float32], y: npt.NDArray[Any], loss: str) -> Gradient:
        if "gradients" not in self.access:
            raise NotImplementedError(self.reasons.get("gradients", "this submission gives no gradients"))
        x = self._checked(x)
        parts = self._in_batches("gradient", lambda part, labels: self._gradient(part, labels, loss), x, y)
        if not parts:
            return Gradient(np.zeros(0), x, np.zeros((0, len(self._task.classes))))
        joined = [np.concatenate([part[name] for part in parts]) for name in ("loss", "gradient", "logits")]
        return Gradient(*joined)

    def explain(self, x: npt.NDArray[np.float32], target: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Its own attributions for the classes `target`, shape of x, or (n, 1, height, width).

        Raises `NotImplementedError` unless `explanations` is in `access`.
        """
        if self._attribution is None:
            raise NotImplementedError(self.reasons.get("explanations", "this submission gives no attributions"))
        x, target = self._checked(x), np.ascontiguousarray(target, dtype=np.int64)
        parts = self._in_batches("explain", self._explain, x, target)
        return np.concatenate(parts) if parts else np.zeros(x.shape)

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
            self._attribution = _answers.attribution_shape(metadata, self._input)
            self.privacy = _answers.declared_privacy(metadata)
            if self._attribution is None:
                self.reasons["explanations"] = f"its metadata name no output {_answers.ATTRIBUTION!r}"
            else:
                self.access = frozenset({"queries", "explanations"})
            return
        self.reasons["explanations"] = "a `model` is explained by the platform, through its gradients or its answers"
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

    def _predict_sized(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        try:
            return self._predict(x)
        except ServerError as error:
            raise SizeRefused(f"items of shape {list(x.shape[1:])} were refused: {str(error)[:300]}") from error
        except ChannelError as error:
            raise self._fault(error) from error

    def _predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        name_in, name_out = self._names
        if not self._expected or self._expected[0].shape[0] != len(x):
            self._expected = [Expected(name_out, (len(x), len(self._task.classes)), ("FP32", "FP64"))]
        answer = self._client.infer({name_in: x}, self._expected, deadline=self._deadline)[name_out]
        self._count(len(x))
        return _answers.probabilities(answer, kind=self._input.output, first=self.queries - len(x))

    def _gradient(self, x: npt.NDArray[np.float32], y: npt.NDArray[Any], loss: str) -> dict[str, Any]:
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

    def _explain(self, x: npt.NDArray[np.float32], target: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        if self._attribution is None:
            raise RuntimeError("the caller checks that attributions are offered")
        expected = [Expected(_answers.ATTRIBUTION, (len(x), *self._attribution), ("FP32", "FP64"))]
        given: dict[str, npt.NDArray[Any]] = {self._names[0]: x, _answers.TARGET: target}
        answer = self._client.infer(given, expected, deadline=self._deadline)[_answers.ATTRIBUTION]
        self._count(len(x))
        return _answers.attributions(answer, shape=self._input.shape)

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
        ended = _faults.end_of(self._sandbox, error, deadline=self._deadline)
        if ended is not None:
            return _faults.from_exit(ended, self._resources, queries=self.queries)
        late = time.monotonic() >= self._deadline
        return _faults.from_channel(
            error, self._resources, starting=starting and not late, queries=self.queries, ours=self._trusted
        )
