"""Entries as rows: of a page, with text for people beside the raw values, and of an export, flat and raw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runners.spec.gates import Gate
from touchstone.evaluations.validity import name_of
from touchstone.leaderboards.filters import flags_of
from touchstone.leaderboards.formatting import MINUS, NOTHING, number
from touchstone.leaderboards.models import LeaderboardEntry, LeaderboardEvent
from touchstone.leaderboards.paging import Place
from touchstone.leaderboards.standing import Facts

#: Decimals of a phase that rounds.
ROUNDED = 2
_MISSING: dict[str, Any] = {
    "value": None, "low": None, "high": None, "n": None, "state": "missing", "reason": "not computed for this run",
}  # fmt: skip


@dataclass(frozen=True)
class RowContext:
    """What all rows of a page share. `columns`: key and decimals of each; `seer`: the key of the participant who
    looks."""

    columns: Sequence[tuple[str, int]]
    ranks: Mapping[float, tuple[int, int]]
    facts: Facts
    gates: Sequence[Gate]
    seer: int | None
    closes: datetime | None
    blunt: bool


def page_row(entry: LeaderboardEntry, *, group: int, shared: RowContext) -> dict[str, Any]:
    """A row of a page. `group` is its tie group, 0 where there is none."""
    mine = shared.seer is not None and entry.participation_id == shared.seer
    blunt = shared.blunt
    standing = None if blunt else shared.facts.standing(entry.key_low, entry.key_high)
    return {
        "rank": _rank_text(entry, shared.ranks),
        "best": standing.best if standing else None,
        "worst": standing.worst if standing and not standing.open else None,
        "tied": standing.tied if standing and not standing.open else None,
        "group": 0 if blunt else group,
        "participant": entry.participation.display_name,
        "participation": entry.participation_id,
        "is_baseline": entry.participation.is_baseline,
        "is_you": mine,
        "submission": str(entry.run.submission_id) if mine else "",
        "entry": str(entry.run.submission_id),
        "kind": entry.run.submission.kind,
        "flags": flags_of(entry, closes=shared.closes),
        "submitted_at": entry.achieved_at,
        "n_submissions": entry.n_submissions,
        "unranked": _unranked(entry, blunt),
        "gates": [_gate(gate, entry, blunt) for gate in shared.gates],
        "cells": [_cell(score_of(entry, key, blunt), decimals) for key, decimals in shared.columns],
    }


def _gate(gate: Gate, entry: LeaderboardEntry, blunt: bool) -> dict[str, Any]:
    value = entry.scores.get(gate.key, {}).get("value")
    told = "" if value is None else number(round(value, ROUNDED), ROUNDED) if blunt else f"{value:.4g}"
    return {"gate": str(gate), "passed": gate.holds(value), "value": told.replace("-", MINUS)}


def flat_rows(
    entries: Iterable[LeaderboardEntry], *, keys: Sequence[str], gates: Sequence[Gate], facts: Facts | None,
    closes: datetime | None, blunt: bool,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Rows of an export, for entries that come in rank order. All have the same keys; see `leaderboard_export_rows`."""
    place = Place()
    for entry in entries:
        ranked = entry.sort_key is not None
        place = place.step(entry) if ranked else place
        standing = facts.standing(entry.key_low, entry.key_high) if facts else None
        held = [_gate(gate, entry, blunt) for gate in gates]
        row: dict[str, Any] = {
            "rank": place.rank if ranked else None,
            "rank_best": standing.best if standing else None,
            "rank_worst": standing.worst if standing and not standing.open else None,
            "tie_group": place.group if ranked and facts else None,
            "participant": entry.participation.display_name,
            "baseline": entry.participation.is_baseline,
            "flags": " ".join(flags_of(entry, closes=closes)),
            "kind": entry.run.submission.kind,
            "submitted_at": entry.achieved_at.isoformat(),
            "submissions": entry.n_submissions,
            "unranked": _unranked(entry, blunt),
            "gates_failed": "; ".join(gate["gate"] for gate in held if not gate["passed"]),
        }
        for key in keys:
            score = score_of(entry, key, blunt)
            row[key] = score["value"]
            row |= {f"{key}.{name}": score.get(name, "") for name in ("low", "high", "n", "state", "verdict")}
        yield row


def tombstone_rows(events: Iterable[LeaderboardEvent], *, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of an export for what was withdrawn: whose and why, and no number. They have the keys of `flat_rows`."""
    for event in events:
        submission = event.run.submission
        row: dict[str, Any] = {
            "rank": None, "rank_best": None, "rank_worst": None, "tie_group": None,
            "participant": event.participation.display_name, "baseline": event.participation.is_baseline,
            "flags": "withdrawn", "kind": submission.kind, "submitted_at": submission.created_at.isoformat(),
            "submissions": None, "unranked": submission.withdrawn_text, "gates_failed": "",
        }  # fmt: skip
        for key in keys:
            row |= {key: None, f"{key}.low": None, f"{key}.high": None, f"{key}.n": None}
            row |= {f"{key}.state": "withdrawn", f"{key}.verdict": ""}
        yield row


def score_of(entry: LeaderboardEntry, key: str, blunt: bool) -> dict[str, Any]:
    """The score of an entry under `key`: raw, or as a phase that rounds lets it be seen."""
    score: dict[str, Any] = entry.scores.get(key) or _MISSING
    if not blunt:
        return score
    value = score["value"]
    doubts = [name_of(doubt) for doubt in score.get("doubts", ())]
    return {
        **score, "value": None if value is None else round(value, ROUNDED), "low": None, "high": None, "doubts": doubts,
    }  # fmt: skip


def _cell(score: dict[str, Any], decimals: int) -> dict[str, Any]:
    low, high = score["low"], score["high"]
    return {
        "text": number(score["value"], decimals),
        "low_text": "" if low is None else number(low, decimals),
        "high_text": "" if high is None else number(high, decimals),
        "value": score["value"],
        "low": low,
        "high": high,
        "n": score["n"],
        "state": score["state"],
        "reason": score["reason"],
        # Scored before there were verdicts, or a number that no attack is behind.
        "verdict": score.get("verdict", ""),
        "doubts": score.get("doubts", []),
    }


def _unranked(entry: LeaderboardEntry, blunt: bool) -> str:
    """Why an entry has no rank. What follows the colon may be an exact value."""
    return entry.unranked.partition(": ")[0] if blunt else entry.unranked


def _rank_text(entry: LeaderboardEntry, ranks: Mapping[float, tuple[int, int]]) -> str:
    if entry.sort_key is None:
        return NOTHING
    rank, ties = ranks[entry.sort_key]
    return f"={rank}" if ties > 1 else str(rank)
