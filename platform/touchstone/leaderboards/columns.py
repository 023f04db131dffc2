"""The columns of a board: which there are, and their titles, units and decimals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from runners.spec import catalogue
from runners.spec.catalogue_file import Offer
from runners.spec.gates import parse_gate
from runners.spec.models import LeaderboardSpec
from touchstone.core.errors import UserError
from touchstone.core.names import named
from touchstone.leaderboards.formatting import decimals_for
from touchstone.leaderboards.models import LeaderboardEntry
from touchstone.leaderboards.ranking import TRUST
from touchstone.leaderboards.rows import ROUNDED

_SORTABLE = ("rank", "participant", "submitted", "submissions")


@dataclass(frozen=True)
class BoardColumn:
    """A column of results. `decimals` holds for all its cells; `is_ranking` marks the one the board is ranked by."""

    key: str
    title: str
    unit: str
    direction: str
    decimals: int = 3
    is_ranking: bool = False


def columns_available(spec: LeaderboardSpec, offer: Offer) -> list[str]:
    """The board's columns first in the order that explains the ranking, then all other results."""
    keys = [spec.rank_by, *spec.columns, *spec.utility, *(parse_gate(gate).key for gate in spec.gates), *offer.exact]
    if spec.utility:
        keys.append(TRUST)
    return list(dict.fromkeys(keys))


def sort_check(sort: str, available: Sequence[str], offer: Offer) -> None:
    """Raises `UserError` for an order that there is not."""
    name = sort.removeprefix("-")
    if name and name not in (*_SORTABLE, *available) and offer.find(name) is None:
        raise UserError(
            _("There is no column %(name)r to sort by.") % {"name": name[:80]},
            _("Sort by %(names)s.") % {"names": ", ".join([*_SORTABLE, *available])},
            "sort",
        )


def column_keys(cols: str, spec: LeaderboardSpec, offer: Offer) -> list[str]:
    """The keys that `cols` names, with commas; "" for the board's own. Raises `UserError` for one there is not."""
    available = columns_available(spec, offer)
    asked = list(dict.fromkeys(key for key in cols.split(",") if key))
    unknown = [key for key in asked if key not in available and offer.find(key) is None]
    if unknown:
        raise UserError(
            _("There is no column %(value)r.") % {"value": unknown[0][:80]},
            _("Columns are %(available)s.") % {"available": ", ".join(available)},
            "cols",
        )
    return asked or (list(dict.fromkeys([spec.rank_by, *spec.columns])) if spec.columns else available)


def columns_made(
    *, keys: Sequence[str], spec: LeaderboardSpec, offer: Offer, entries: Sequence[LeaderboardEntry],
    told: Mapping[str, Mapping[str, Any]], blunt: bool,
) -> list[BoardColumn]:  # fmt: skip
    """The columns of `keys`. `told`: {metric, title, unit, direction} of each key, as a run reported them."""
    return [_column(key, spec, offer, entries, told.get(key), blunt) for key in keys]


def _column(
    key: str, spec: LeaderboardSpec, offer: Offer, entries: Sequence[LeaderboardEntry],
    told: Mapping[str, Any] | None, blunt: bool,
) -> BoardColumn:  # fmt: skip
    known = offer.find(key)
    span = (0.0, 1.0) if key == TRUST else known.range if known else (None, None)
    values = (entry.scores.get(key, {}).get("value") for entry in entries)
    decimals = ROUNDED if blunt else decimals_for(values, span=span)
    ranking = key == spec.rank_by
    if key == TRUST:
        return BoardColumn(key, _("Trust"), "", "maximise", decimals, ranking)
    if told is not None:
        title = title_of(key, told["metric"], named(told["title"]))
        return BoardColumn(key, title, named(told["unit"]), told["direction"], decimals, ranking)
    entry = catalogue()["metrics"].get(known.metric, {}) if known else {}
    title = title_of(key, known.metric if known else "", named(entry.get("title", "")))
    direction = known.direction if known else "none"
    return BoardColumn(key, title, named(entry.get("unit", "")), direction, decimals, ranking)


def title_of(key: str, metric: str, title: str) -> str:
    """A title that tells one use of a metric from another: `Robust accuracy (hsj)`, `Disparate impact (race)`."""
    if not title:
        return key
    head, bracket, group = key.partition("[")
    alias = head.partition(".")[0] if metric and not head.startswith(metric) else ""
    which = [part for part in (alias, group.removesuffix("]")) if bracket or part]
    missing = ", ".join(part for part in which if part and part not in title)
    return f"{title} ({missing})" if missing else title
