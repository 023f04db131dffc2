"""What the metrics of a phase will ask a submission, told before they ask it.

Counts come from what metrics and attacks declare. Metrics that only read answers ask nothing; what they compute takes
seconds on the node that are in no forecast.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pydantic import JsonValue

from runners.errors import UserError
from runners.registry import Access, Need, metrics, parse_parameters
from runners.spec.models import MetricUse

#: What a gradient is taken to cost where it was not timed, in forward passes: one there, and two for the way back.
GRADIENT_TIMES = 3.0


@dataclass(frozen=True)
class Forecast:
    """What one metric will ask. `least`: whatever the model answers; `forward`, `backward`: passes, as a rule.

    Every question is a forward pass; those that are answered with a gradient are a backward pass besides. `attacks`
    names the attacks of the metric's parameters. `fixed_seconds`: what it takes whatever the pace, with as many
    questions as fit.
    """

    prefix: str
    metric: str
    attacks: str
    access: Access
    least: int
    forward: int
    backward: int
    fixed_seconds: float = 0.0

    @property
    def text(self) -> str:
        """In words, with the name it has in the competition."""
        name = f"{self.prefix} ({self.attacks})" if self.attacks else self.prefix
        back = f" and {self.backward:,} backward" if self.backward else ""
        more = " or more" if self.fixed_seconds else ""
        return f"{name}: {self.forward:,}{more} forward{back} passes"

    def json(self) -> dict[str, JsonValue]:
        return {
            "result": self.prefix, "metric": self.metric, "attacks": self.attacks, "access": self.access,
            "least": self.least, "forward": self.forward, "backward": self.backward,
        }  # fmt: skip


@dataclass(frozen=True)
class Speed:
    """Seconds of an item asked for an answer, and for a gradient: None where that was not timed."""

    answer: float
    gradient: float | None = None

    def seconds(self, forecast: Forecast) -> float:
        """What a metric will take, as a rule."""
        gradient = GRADIENT_TIMES * self.answer if self.gradient is None else self.gradient
        asking = (forecast.forward - forecast.backward) * self.answer + forecast.backward * gradient
        return max(asking, forecast.fixed_seconds)


def forecast(
    uses: Iterable[MetricUse], *, items: int, access: Collection[Access] | None = None, lacking: Collection[Need] = ()
) -> list[Forecast]:
    """What each metric that asks will ask, in the order of the competition.

    Args:
        items: of the split.
        access: what the model offers; None for one that offers everything.
        lacking: needs that the split cannot serve; a metric with one of them asks nothing.
    """
    known, found = metrics(), []
    for use in uses:
        info = known.get(use.use)
        if info is None or info.queries is None or not set(lacking).isdisjoint(info.needs):
            continue
        try:
            cost = info.queries(parse_parameters(info, use.parameters), items)
        except UserError:
            continue  # wrong settings: the metric says so itself when its turn comes, and asks nothing
        if access is None or cost.access in access:
            # Checks beside an attack ask for gradients only where there are some.
            backward = cost.backward if access is None or "gradients" in access else 0
            of = (use.prefix, use.use, _attacks(use), cost.access)
            found.append(Forecast(*of, cost.least, cost.typical, backward, cost.seconds))
    return found


def _attacks(use: MetricUse) -> str:
    """The attacks of its parameters, or the empty string."""
    several = use.parameters.get("attacks")
    names = several if isinstance(several, list | tuple) else [use.parameters.get("attack") or ""]
    return ", ".join(str(name) for name in names)
