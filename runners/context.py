"""What a metric sees: labels, answers, attributes, and the model where it can be asked."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from runners.attributes import Attribute
from runners.models.base import Answers, Model
from runners.registry import Need
from runners.spec.models import AggregateSpec, AttributeSpec, InputSpec, TaskSpec
from runners.surrogates import Surrogates

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Inputs = npt.NDArray[np.float32]
Names = npt.NDArray[np.object_]
T = TypeVar("T")

_REASONS: dict[Need, str] = {
    "predictions": "the submission gave no class for each item",
    "probabilities": "the submission gave classes only; this metric needs a probability for each class",
    "queries": "this kind of submission cannot be asked again: it is a file of answers, not a model",
    "gradients": "white-box: needs the model's gradients, which only a `model` submission gives",
    "explanations": "the submission gives no attributions of its own",
    "attributes": "the data split has no such attribute",
    "favourable": "the competition declares no favourable class",
    "binary": "defined for two classes only",
    "validation": "there are no answers for a validation split: the phase names none, or the submission is a file that "
    "answers for the phase's own split only",
    "surrogates": "the competition has no surrogate models",
}


@dataclass(frozen=True)
class SubmissionFacts:
    """What the judge knows of a submission besides its answers; None where it cannot be told.

    `model_bytes`: size of the file or zip as submitted. `image_bytes`: size of the image's archive as submitted.
    `parameters`: numbers in the initialisers of an ONNX file. `flops`: floating point operations of one item, two for
    each multiply-add; where it is None `uncounted` says why. `peak_memory`: peak bytes of the sandbox, from its start
    until all items of the split were answered once.
    """

    model_bytes: int | None = None
    image_bytes: int | None = None
    parameters: int | None = None
    flops: int | None = None
    uncounted: str = ""
    peak_memory: int | None = None


@dataclass(frozen=True)
class MetricContext:
    """Everything a metric may use. Arrays are aligned: row i is item `ids[i]`.

    `labels` and `predictions` are class indices (int64, shape (n,)); `probabilities` is
    (n, classes), float64, rows sum to one; `inputs` is (n, *shape), float32, and may lie
    in a file: take rows of it, never all at once. `attributes` maps a name to the values of n items as codes; arrays
    of strings and None that are given become such. `clusters` holds n cluster ids, or None where items are independent.
    `aggregate` is the rule by which the items of a cluster become one decision; None where none is declared, or where
    these are the decisions already.
    `validation` is another labelled split with answers of the same submission, for what must be fitted on items that
    are not scored; it has no validation split of its own. `facts` is None where nothing is known of the submission.
    `surrogates` gives the examples that metrics with that need ordered; None where there are no such models.
    `progress(message, share)` tells how far a long metric is; `clock` gives seconds and is what
    every timing uses, so that tests can put their own time in. `remaining()` is how many seconds the run may still
    take. `echo()` starts, for as long as it is held, a server of the platform's own that answers at once, in the same
    kind of sandbox, and raises `NoEcho` where there can be none. `calibration` is how fast the node multiplies, None
    where that is not known, or where the submission has a device that it says nothing about.
    """

    task: TaskSpec
    ids: Names
    labels: IntArray
    predictions: IntArray | None = None
    probabilities: FloatArray | None = None
    inputs: Inputs | None = None
    input: InputSpec | None = None
    model: Model | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    attribute_specs: dict[str, AttributeSpec] = field(default_factory=dict)
    clusters: Names | None = None
    aggregate: AggregateSpec | None = None
    validation: MetricContext | None = None
    facts: SubmissionFacts | None = None
    surrogates: Surrogates | None = None
    seed: int = 0
    progress: Callable[[str, float], None] = lambda _message, _share: None
    clock: Callable[[], float] = time.perf_counter
    remaining: Callable[[], float] = lambda: math.inf
    echo: Callable[[], AbstractContextManager[Answers]] | None = None
    calibration: float | None = None

    def __post_init__(self) -> None:
        coded = {name: Attribute.of(values) for name, values in self.attributes.items()}
        object.__setattr__(self, "attributes", coded)

    @property
    def n(self) -> int:
        return int(self.labels.shape[0])

    @cached_property
    def _found(self) -> dict[Hashable, Any]:
        # No field: what `replace` makes of this context starts without it, for its arrays are others.
        return {}

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made by whichever metric asks first and shared by all of this context.

        For what is small and read from all items, such as a table of counts; nobody may change it afterwards.
        """
        if key not in self._found:
            self._found[key] = make()
        found: T = self._found[key]
        return found

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator of its own for each purpose: adding a metric never changes another's draws."""
        return np.random.default_rng([self.seed & (2**64 - 1), *purpose.encode()])

    def missing(self, needs: Iterable[Need]) -> str:
        """Why this context cannot serve `needs`, or the empty string."""
        access = self.model.access if self.model is not None else frozenset()
        have: dict[Need, bool] = {
            "predictions": self.predictions is not None,
            "probabilities": self.probabilities is not None,
            "queries": "queries" in access and self.inputs is not None,
            "gradients": "gradients" in access and self.inputs is not None,
            "explanations": "explanations" in access and self.inputs is not None,
            "attributes": bool(self.attributes),
            "favourable": self.task.favourable_index is not None,
            "binary": self.task.kind == "binary",
            "validation": self.validation is not None and self.validation.predictions is not None,
            "surrogates": self.surrogates is not None,
        }
        # A served model knows more precisely why it refuses an access.
        own: dict[str, str] = getattr(self.model, "reasons", {})
        return "; ".join(f"{_REASONS[n]} ({own[n]})" if n in own else _REASONS[n] for n in needs if not have[n])
