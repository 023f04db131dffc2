"""The form of a leaderboard and its preview, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.utils.translation import gettext as _

from touchstone.drafts.board_forms import COMPARISONS, BoardInput, GateRow, Key, gate_text
from touchstone.drafts.board_previews import Preview
from touchstone.drafts.metric_cards import PILLARS
from touchstone.leaderboards.ranking import TRUST
from touchstone.web.present import direction, interval_text, number

#: Rows for gates that are not there yet.
_SPARE = 2


@dataclass(frozen=True)
class KeyRow:
    """A result in the form: whether it is a column, and its share of the trust score with the anchors typed."""

    key: Key
    direction: str
    icon: str
    column: bool
    weight: str
    worst: str
    best: str
    worst_hint: str
    best_hint: str
    problem: str
    where: str


@dataclass(frozen=True)
class GateField:
    row: GateRow
    text: str
    problem: str
    where: str


@dataclass(frozen=True)
class BoardForm:
    """Everything the form shows. `pillars`: (pillar, rows, how many of them are columns, how many have a weight)."""

    body: Mapping[str, Any]
    pillars: list[tuple[str, list[KeyRow], int, int]]
    gates: list[GateField]
    comparisons: Sequence[str]
    rank_by: list[tuple[str, str]]
    phases: list[tuple[str, str]]
    trust_column: bool
    lost: list[str]


def board_form(
    board: BoardInput, *, keys: Sequence[Key], ranks: Sequence[str], phases: Sequence[Any], where: str
) -> BoardForm:
    """`where`: the board's place in competition.yml."""
    columns = board.body.get("columns")
    shown = [str(key) for key in columns] if isinstance(columns, list) else []
    rows = [_row(key, board, shown, where) for key in keys]
    order = {pillar: at for at, pillar in enumerate(PILLARS)}
    rows.sort(key=lambda row: order.get(row.key.pillar, len(order)))
    known = {key.key for key in keys} | {TRUST}
    titles = {key.key: key.title for key in keys} | {TRUST: _("Trust: the weighted mean below")}
    current = str(board.body.get("rank_by") or "")
    options = [*ranks, *([current] if current and current not in ranks else [])]
    gates = [*board.gates, *(GateRow() for _spare in range(_SPARE))]
    return BoardForm(
        body=board.body,
        pillars=[_pillar(name, list(group)) for name, group in groupby(rows, key=lambda row: row.key.pillar)],
        gates=[
            GateField(row, gate_text(row) if row.key or row.text else "", board.problems.get(f"gate-{at}", ""),
                      f"{where}.gates[{at}]")
            for at, row in enumerate(gates)
        ],
        comparisons=COMPARISONS,
        rank_by=[(key, f"{titles[key]} · {key}" if key in titles and key != TRUST else titles.get(key, key))
                 for key in options],
        phases=_phases(phases, str(board.body.get("phase") or "")),
        trust_column=TRUST in shown,
        lost=[key for key in [*shown, *board.weights] if key not in known],
    )  # fmt: skip


def _pillar(name: str, rows: list[KeyRow]) -> tuple[str, list[KeyRow], int, int]:
    return name, rows, sum(row.column for row in rows), sum(bool(row.weight) for row in rows)


def _row(key: Key, board: BoardInput, shown: Sequence[str], where: str) -> KeyRow:
    weight, worst, best = board.weights.get(key.key, ("", "", ""))
    way = direction(key.column.direction)
    return KeyRow(
        key, str(way.text), way.icon, key.key in shown, weight, worst, best,
        "" if key.worst is None else f"{key.worst:g}", "" if key.best is None else f"{key.best:g}",
        board.problems.get(f"weight:{key.key}", ""), f"{where}.utility.{key.key}",
    )  # fmt: skip


def _phases(phases: Sequence[Any], current: str) -> list[tuple[str, str]]:
    found = [
        (str(phase.get("slug")), str(phase.get("title") or phase.get("slug")))
        for phase in phases
        if isinstance(phase, dict) and phase.get("slug")
    ]
    if current and current not in [slug for slug, _title in found]:
        found.append((current, _("%s (no such phase yet)") % current))
    return [("", _("One board for each phase")), *found]


@dataclass(frozen=True)
class PreviewCell:
    text: str
    interval: str
    reason: str


@dataclass(frozen=True)
class ShownRow:
    """A row of the preview; `moved`: what its place did, in words."""

    rank: str
    name: str
    baseline: bool
    unranked: str
    moved: str
    icon: str
    cells: list[PreviewCell]


@dataclass(frozen=True)
class ShownPreview:
    rows: list[ShownRow]
    columns: list[tuple[str, str]]
    real: bool
    swings: list[tuple[str, str]]


def shown_preview(found: Preview, keys: Sequence[Key]) -> ShownPreview:
    titles = {key.key: key.title for key in keys} | {TRUST: _("Trust")}
    rows = []
    for row in found.rows:
        moved, icon = _moved(row.moved)
        cells = [_cell(row.scores.get(key, {})) for key in found.columns]
        rank = "–" if row.rank is None else str(row.rank)
        rows.append(ShownRow(rank, row.name, row.baseline, row.unranked, moved, icon, cells))
    swings = [(titles.get(swing.key, swing.key), _swing(swing.weight, swing.down, swing.up)) for swing in found.swings]
    return ShownPreview(rows, [(key, titles.get(key, key)) for key in found.columns], found.real, swings)


def _cell(score: Mapping[str, Any]) -> PreviewCell:
    value = score.get("value")
    reason = "" if value is not None else str(score.get("reason") or "")
    return PreviewCell(number(value), interval_text(score.get("low"), score.get("high")), reason)


def _moved(places: int | None) -> tuple[str, str]:
    if not places:
        return "", ""
    if places > 0:
        return _("up %d") % places, "arrow-up"
    return _("down %d") % -places, "arrow-down"


def _swing(weight: float, down: float | None, up: float | None) -> str:
    names = {"weight": f"{weight:g}", "down": f"{down or 0:.3g}", "up": f"{up or 0:.3g}"}
    if down is None and up is None:
        return _("%(weight)s: no change of this weight alone swaps two entries.") % names
    if down is None:
        return _("%(weight)s: two entries swap places above %(up)s; below, nothing changes.") % names
    if up is None:
        return _("%(weight)s: two entries swap places below %(down)s; above, nothing changes.") % names
    return _("%(weight)s: the order stays between %(down)s and %(up)s.") % names
