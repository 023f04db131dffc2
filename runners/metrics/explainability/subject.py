"""What every explanation starts from: items, the class that is explained, and the baseline that tells nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from runners.attacks.geometry import Floats, Inputs, Ints, probabilities
from runners.context import MetricContext, Names
from runners.data.room import mean_item
from runners.errors import ScorerFault
from runners.metrics.explainability.attributions import Explainer, Maker, Method, Source, access
from runners.models.base import Loss, Model
from runners.registry import Column, MetricValue, undefined

#: What metrics that hide parts of an input do not tell.
MASKED = (
    "Half-hidden inputs are unlike all that the model was trained on, so a drop may come from their strangeness and "
    "not from what is missing. Compare numbers of one `baseline` and one `method` only, read the random map beside "
    "each, and `explainability.rank_agreement`: where it is low, a ranking by this metric is a matter of taste."
)
#: What hidden parts become: a number in the units of the inputs, or the mean item of the split.
Baseline = float | Literal["mean"]
Items = Annotated[int, Field(ge=1, le=100_000)]
Steps = Annotated[int, Field(ge=1, le=1000)]
Windows = Annotated[int, Field(ge=2, le=10_000)]
_Number = TypeVar("_Number", np.float64, np.int64)


@dataclass(frozen=True)
class Subject:
    """Items `x` (n, *shape), their baseline, the predicted class of each, (n,), and its probability, (n,).

    `rows` are the items' places in the split, `clusters` what they share.
    """

    model: Model
    x: Inputs
    base: Inputs
    target: Ints
    score: Floats
    rows: Ints
    clusters: Names | None
    image: bool
    classes: int

    @property
    def n(self) -> int:
        return int(self.target.size)

    def explainer(self, method: Maker, loss: Loss, steps: int, windows: int) -> Explainer:
        """A method for these items."""
        return Explainer(method, loss, steps, windows, self.image)

    def scores(self, answer: Floats) -> Floats:
        """Probability of the explained class, from answers (…, n, classes): (…, n)."""
        index = np.broadcast_to(self.target[:, None], (*answer.shape[:-1], 1))
        return np.take_along_axis(answer, index, axis=-1)[..., 0]

    def widened(self, units: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
        """Numbers per unit (…, n, units) in a shape that multiplies x: (…, n, *shape), or one channel of it."""
        shape = (1, *self.x.shape[2:]) if self.image else self.x.shape[1:]
        return units.reshape(*units.shape[:-1], *shape)


def refused(ctx: MetricContext, methods: Iterable[Method], source: Source) -> str:
    """Why the model cannot be asked for what these methods need, or the empty string."""
    if source == "submission":
        return ctx.missing(("explanations",))
    if explains_itself(ctx, source):
        return ""
    return ctx.missing(dict.fromkeys(access(method) for method in methods))


def explains_itself(ctx: MetricContext, source: Source) -> bool:
    """Whether the submission's own maps are looked at."""
    return source != "platform" and ctx.model is not None and "explanations" in ctx.model.access


def maker(ctx: MetricContext, method: Method, source: Source) -> Maker:
    """What makes the maps that are looked at."""
    return "submission" if explains_itself(ctx, source) else method


def subject(ctx: MetricContext, items: int, baseline: Baseline) -> Subject | None:
    """`items` of the split, drawn by the run's seed, the same for every metric of a run; None where it has none.

    Raises:
        ScorerFault: the baseline lies outside the range of the inputs.
    """
    if ctx.model is None or ctx.inputs is None or ctx.input is None:
        raise RuntimeError("a metric that asks the model must declare the need `queries`")
    smallest, largest = ctx.input.range
    if baseline != "mean" and not smallest <= baseline <= largest:
        raise ScorerFault(
            f"The baseline {baseline:g} lies outside the range of the inputs, {smallest:g} to {largest:g}."
        )
    if ctx.n == 0:
        return None
    rows = np.arange(ctx.n)
    if items < ctx.n:
        rows = np.sort(ctx.rng("explainability.items").choice(ctx.n, size=items, replace=False))
    x = ctx.inputs[rows]
    level = mean_item(ctx.inputs) if baseline == "mean" else baseline
    base = np.ascontiguousarray(np.broadcast_to(np.float32(level), x.shape))
    answer = probabilities(ctx.model, x)
    target = answer.argmax(axis=1).astype(np.int64)
    return Subject(
        model=ctx.model, x=x, base=base, target=target, score=answer[np.arange(rows.size), target], rows=rows,
        clusters=None if ctx.clusters is None else ctx.clusters[rows], image=ctx.input.kind == "image",
        classes=int(answer.shape[1]),
    )  # fmt: skip


def absent(columns: Iterable[Column], reason: str, *, applicable: bool = True) -> dict[str, MetricValue]:
    """Every column without a value, for one reason."""
    value = undefined(reason, n=0) if applicable else undefined(reason, state="not_applicable")
    return {column.key: value for column in columns}
