"""An attack's success by group: rates, curves, and differences between the unprivileged and the privileged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from runners.attacks.geometry import Bools, Floats, Ints
from runners.attributes import Attribute
from runners.context import MetricContext, Names
from runners.errors import ScorerFault
from runners.metrics.fairness.groups import attribute_values, item_sides
from runners.metrics.performance.shares import share_interval
from runners.metrics.robustness.condition import answered
from runners.metrics.robustness.target import Attacked, Target, curve_area, success_versus_distance
from runners.registry import MetricValue, get_metric, undefined
from runners.statistics.bootstrap import (
    ITEM_DRAWS,
    cluster_codes,
    group_sums,
    groups_of,
    percentile_interval,
    resample_sums,
    table_interval,
)
from runners.statistics.intervals import Interval, mover, mover_ratio

_METRICS = {
    "spd": "fairness.statistical_parity_difference",
    "di": "fairness.disparate_impact",
    "eod": "fairness.equal_opportunity_difference",
    "aod": "fairness.average_odds_difference",
}
_SIDES = ("unprivileged", "privileged")


@dataclass(frozen=True)
class Split:
    """The attacked items of known group, rows aligned. `side`: 0 unprivileged, 1 privileged, -1 in neither.

    `reach`: distance to the nearest example found, infinite without one.
    """

    attribute: str
    minimum: int
    values: Attribute
    side: Ints
    broken: Bools
    reach: Floats
    clusters: Names | None
    eps: float
    unknown: int

    @property
    def groups(self) -> list[str]:
        return list(self.values.sizes())

    def rate(self, mask: Bools) -> dict[str, JsonValue]:
        """n, successes and curves of the items of a mask."""
        n = int(mask.sum())
        return {
            "n_attacked": n, "n_success": int(self.broken[mask].sum()),
            "success_rate": float(self.broken[mask].mean()) if n else None,
            "area": curve_area(self.reach[mask], self.eps) if n else None,
            "median_distance": _median(self.reach[mask]),
            "success_versus_distance": _curve(self.reach[mask], self.eps),
        }  # fmt: skip

    def details(self) -> dict[str, JsonValue]:
        by_group: list[JsonValue] = [{"group": g, **self.rate(self.values == g)} for g in self.groups]
        sides: dict[str, JsonValue] = {name: self.rate(self.side == i) for i, name in enumerate(_SIDES)}
        return {**sides, "groups": by_group, "unknown": self.unknown}

    def too_small(self) -> MetricValue | None:
        """The value to return where a side has fewer attacked items than the attribute asks for."""
        sizes = [(name, int((self.side == i).sum())) for i, name in enumerate(_SIDES)]
        small = [f"{name} has {size}" for name, size in sizes if size < self.minimum]
        if not small:
            return None
        reason = f"{' and '.join(small)} attacked items of the {self.minimum} that {self.attribute} asks for"
        return undefined(reason, n=int((self.side >= 0).sum()), state="too_few")


def _curve(reach: Floats, eps: float) -> list[JsonValue]:
    return [{**point} for point in success_versus_distance(reach, eps)] if reach.size else []


def _median(reach: Floats) -> float | None:
    """Median distance over all attacked items, those without an example infinitely far; None where it is infinite."""
    middle = float(np.median(reach)) if reach.size else np.inf
    return middle if np.isfinite(middle) else None


def split(ctx: MetricContext, aim: Target, attacked: Attacked, attribute: str, eps: float) -> Split:
    """Items that were right before the attack, by group. The attribute must be there."""
    found = attribute_values(ctx, attribute)
    if found is None:
        raise ScorerFault(f"The data split has no attribute {attribute!r}.")
    spec, values = found
    rows = values[aim.chosen]
    chosen = rows.known & attacked.correct
    side = item_sides(spec, rows[chosen]).astype(np.int64)
    return Split(
        attribute=attribute, minimum=spec.minimum, values=rows[chosen], side=side, broken=attacked.broken(eps)[chosen],
        reach=attacked.held.reach[chosen], clusters=None if ctx.clusters is None else ctx.clusters[aim.chosen][chosen],
        eps=eps, unknown=int((~rows.known).sum()),
    )  # fmt: skip


def group_rate(ctx: MetricContext, table: Split, group: str) -> MetricValue:
    """Success rate on one value of the attribute."""
    mask = table.values == group
    n = int(mask.sum())
    if n < table.minimum:
        reason = f"{group} has {n} attacked items of the {table.minimum} that {table.attribute} asks for"
        return undefined(reason, n=n, state="too_few")
    clusters = None if table.clusters is None else table.clusters[mask]
    rng = ctx.rng(f"robustness.bias.{table.attribute}.{group}")
    low, high = share_interval(table.broken[mask], clusters, rng=rng)
    return MetricValue(float(table.broken[mask].mean()), low=low, high=high, n=n, details={"group": group})


def _counts(table: Split) -> tuple[Ints, Ints, Ints | None]:
    """Counts `[side, held or broken]`, flat cells of the items in them, and their clusters."""
    chosen = table.side >= 0
    cells = table.side[chosen] * 2 + table.broken[chosen]
    clusters = None if table.clusters is None else table.clusters[chosen]
    return np.bincount(cells, minlength=4).reshape(2, 2), cells.astype(np.int64), cluster_codes(clusters)


def _rates(tables: Ints) -> Floats:
    """Success rates (..., 2) of counts (..., 2, 2); NaN for a side without items."""
    totals = tables.sum(axis=-1)
    shares = np.divide(tables[..., 1], totals, out=np.full(totals.shape, np.nan), where=totals > 0)
    return np.asarray(shares, dtype=np.float64)


def difference(ctx: MetricContext, table: Split) -> MetricValue:
    """Success rate of the unprivileged less that of the privileged."""
    small = table.too_small()
    if small is not None:
        return small
    counts, cells, codes = _counts(table)
    rates = _rates(counts)
    if _flat(counts):
        units = _units(counts, cells, codes)
        low, high = mover([1, -1], units[:, 1].tolist(), units.sum(axis=1).tolist())
    else:
        rng = ctx.rng(f"robustness.bias.{table.attribute}")
        interval = table_interval(lambda t: _rates(t)[:, 0] - _rates(t)[:, 1], cells, (2, 2), codes, rng=rng)
        return MetricValue(float(rates[0] - rates[1]), low=interval[0], high=interval[1], n=int(counts.sum()))
    return MetricValue(float(rates[0] - rates[1]), low=low, high=high, n=int(counts.sum()))


def ratio(ctx: MetricContext, table: Split) -> MetricValue:
    """Success rate of the unprivileged over that of the privileged; undefined where no privileged item is fooled."""
    small = table.too_small()
    if small is not None:
        return small
    counts, cells, codes = _counts(table)
    u, p = _rates(counts)
    if p == 0:
        return undefined("no privileged item is fooled, so the ratio divides by zero", n=int(counts.sum()))
    if _flat(counts):
        low, high = _ratio_of(_units(counts, cells, codes))
    elif u == 0 and codes is None:
        # No unprivileged item is fooled, and so none in any replicate: a bootstrap has nothing to vary.
        low, high = _ratio_of(counts)
    else:
        low, high = table_interval(
            _quotient, cells, (2, 2), codes, rng=ctx.rng(f"robustness.bias.ratio.{table.attribute}")
        )
    return MetricValue(float(u / p), low=low, high=high, n=int(counts.sum()))


def _ratio_of(units: Ints) -> Interval:
    """Interval of the ratio from Wilson's of both rates."""
    hits, sizes = units[:, 1], units.sum(axis=1)
    return mover_ratio((int(hits[0]), int(hits[1])), (int(sizes[0]), int(sizes[1])))


def _quotient(tables: Ints) -> Floats:
    u, p = np.moveaxis(_rates(tables), -1, 0)
    return np.asarray(np.divide(u, p, out=np.full(p.shape, np.nan), where=p > 0), dtype=np.float64)


def area_gap(ctx: MetricContext, table: Split) -> MetricValue:
    """Area under success against distance on [0, eps], over eps: unprivileged less privileged."""
    small = table.too_small()
    if small is not None:
        return small
    chosen = table.side >= 0
    side, height = table.side[chosen], 1 - np.minimum(table.reach[chosen], table.eps) / table.eps
    rows = np.column_stack([height * (side == 0), side == 0, height * (side == 1), side == 1]).astype(np.float64)
    clusters = None if table.clusters is None else table.clusters[chosen]
    codes = cluster_codes(clusters)
    units = rows if codes is None else group_sums(codes, rows)
    total = rows.sum(axis=0)
    value = float(total[0] / total[1] - total[2] / total[3])
    if units.shape[0] < 2 or height.min() == height.max():
        # Nothing varies (mostly: nobody is fooled): a bootstrap would claim certainty.
        return MetricValue(value, n=int(chosen.sum()))
    sums = resample_sums(units, draws=ITEM_DRAWS, rng=ctx.rng(f"robustness.bias.area.{table.attribute}"))
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = percentile_interval(sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3], units=units.shape[0])
    return MetricValue(value, low=low, high=high, n=int(chosen.sum()))


def _flat(counts: Ints) -> bool:
    """Whether both rates are 0 or 1: then a bootstrap has nothing to vary."""
    return bool(np.isin(_rates(counts), (0.0, 1.0)).all())


def _units(counts: Ints, cells: Ints, codes: Ints | None) -> Ints:
    """The same counts with clusters in the place of items."""
    return counts if codes is None else groups_of(codes, cells, 4).reshape(2, 2)


def quartet(
    ctx: MetricContext, chosen: Ints, answers: Floats, attribute: str, condition: str
) -> dict[str, MetricValue]:
    """SPD, DI, EOD and AOD of the answers (n, classes) to the items `chosen`."""
    return quartet_of(answered(ctx, chosen, answers), attribute, condition)


def quartet_of(part: MetricContext, attribute: str, condition: str) -> dict[str, MetricValue]:
    """SPD, DI, EOD and AOD of a context's own predictions, by `<condition>_<which>`."""
    missing = part.missing(("favourable",))
    out = {}
    for key, name in _METRICS.items():
        if missing:
            out[f"{condition}_{key}"] = undefined(missing, state="not_applicable")
            continue
        found = get_metric(name).function(part, attribute=attribute)
        out[f"{condition}_{key}"] = found[f"[{attribute}]"] if isinstance(found, dict) else undefined("no value")
    return out
