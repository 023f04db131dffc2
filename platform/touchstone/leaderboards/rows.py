"""Entries as rows: of a page, with text for people beside the raw values, and of an export, flat and raw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from touchstone.evaluations.validity import name_of
from touchstone.leaderboards.formatting import NOTHING, number
from touchstone.leaderboards.models import LeaderboardEntry

#: Decimals of a phase that rounds.
ROUNDED = 2
_MISSING: dict[str, Any] = {
    "value": None, "low": None, "high": None, "n": None, "state": "missing", "reason": "not computed for this run",
}  # fmt: skip


def page_row(
    entry: LeaderboardEntry,
    *,
    columns: Sequence[tuple[str, int]],
    ranks: dict[float, tuple[int, int]],
    seer: int | None,
    blunt: bool,
) -> dict[str, Any]:
    """A row of a page. `columns`: key and decimals of each; `seer`: the id of the user who looks."""
    mine = seer is not None and entry.participation.user_id == seer
    return {
        "rank": _rank_text(entry, ranks),
        "participant": entry.participation.display_name,
        "is_baseline": entry.participation.is_baseline,
        "is_you": mine,
        "submission": str(entry.run.submission_id) if mine else "",
        "submitted_at": entry.achieved_at,
        "n_submissions": entry.n_submissions,
        "unranked": _unranked(entry, blunt),
        "cells": [_cell(_score(entry, key, blunt), decimals) for key, decimals in columns],
    }


def flat_rows(entries: Iterable[LeaderboardEntry], *, keys: Sequence[str], blunt: bool) -> Iterator[dict[str, Any]]:
    """Rows of an export, for entries that come in rank order. All have the same keys; see `leaderboard_export_rows`."""
    rank, above = 0, None
    for place, entry in enumerate(entries, start=1):
        if entry.sort_key != above:
            rank, above = place, entry.sort_key
        row: dict[str, Any] = {
            "rank": rank if entry.sort_key is not None else None,
            "participant": entry.participation.display_name,
            "baseline": entry.participation.is_baseline,
            "submitted_at": entry.achieved_at.isoformat(),
            "submissions": entry.n_submissions,
            "unranked": _unranked(entry, blunt),
        }
        for key in keys:
            score = _score(entry, key, blunt)
            row[key] = score["value"]
            row |= {f"{key}.{name}": score[name] for name in ("low", "high", "n", "state")}
        yield row


def _score(entry: LeaderboardEntry, key: str, blunt: bool) -> dict[str, Any]:
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


def _rank_text(entry: LeaderboardEntry, ranks: dict[float, tuple[int, int]]) -> str:
    if entry.sort_key is None:
        return NOTHING
    rank, ties = ranks[entry.sort_key]
    return f"={rank}" if ties > 1 else str(rank)
