"""Cross checks of the leaderboards: every key they name must be a result of the metrics."""

from __future__ import annotations

from collections.abc import Iterator

from runners.spec.catalogue_file import Column, Offer
from runners.spec.defects import Defect, Loc, suggestion
from runners.spec.draft import Draft
from runners.spec.gates import parse_gate
from runners.spec.models import LeaderboardSpec, UtilitySpec

TRUST = "trust"


def board_defects(draft: Draft, offer: Offer) -> Iterator[Defect]:
    """Defects of the leaderboards."""
    for index, board in draft.leaderboards.items():
        checker = _Board(draft, offer, index, board)
        yield from checker.phase()
        yield from checker.ranking()
        yield from checker.columns()
        yield from checker.gates()
        yield from checker.utilities()
    yield from _doubles(draft)


def _doubles(draft: Draft) -> Iterator[Defect]:
    seen: list[tuple[int, LeaderboardSpec]] = []
    for index, board in draft.leaderboards.items():
        for other, earlier in seen:
            if earlier.slug == board.slug and (None in (earlier.phase, board.phase) or earlier.phase == board.phase):
                text = f"the slug {board.slug} is already that of leaderboards[{other}] in the same phase"
                yield draft.defect("duplicate", ("leaderboards", index, "slug"), text, "Choose another slug.")
                break
        seen.append((index, board))


class _Board:
    def __init__(self, draft: Draft, offer: Offer, index: int, board: LeaderboardSpec) -> None:
        self.draft = draft
        self.offer = offer
        self.board = board
        self.loc: Loc = ("leaderboards", index)
        # A metric that could not be typed or found may be the one that gives a key.
        known = {column.metric for column in (*offer.exact.values(), *offer.groups.values())}
        self.prefixes = tuple(use.prefix for use in draft.metrics.values() if use.use in known)
        self.sure = draft.complete("metrics") and len(self.prefixes) == len(draft.metrics)

    def _make(self, code: str, loc: Loc, message: str, hint: str) -> Defect:
        return self.draft.defect(code, (*self.loc, *loc), message, hint)

    def _key(self, key: str, loc: Loc) -> tuple[Column | None, list[Defect]]:
        column = self.offer.find(key)
        if column is not None or not (self.sure or key.startswith(self.prefixes)):
            return column, []
        hint = suggestion(key, self.offer.keys(), what="Results")
        return None, [self._make("unknown_result", loc, f"no metric gives the result {key}", hint)]

    def phase(self) -> Iterator[Defect]:
        phase = self.board.phase
        raw = self.draft.raw.get("phases")
        slugs = [str(item.get("slug")) for item in raw if isinstance(item, dict)] if isinstance(raw, list) else []
        if phase is not None and phase not in slugs:
            hint = suggestion(phase, slugs, what="Phases")
            yield self._make("unknown_phase", ("phase",), f"there is no phase {phase}", hint)

    def ranking(self) -> Iterator[Defect]:
        if self.board.rank_by == TRUST:
            if not self.board.utility:
                hint = "Add `utility: {RESULT: weight, ...}`, or rank by one result."
                text = "ranking by trust needs `utility`: which results count, and how much"
                yield self._make("missing_utility", ("rank_by",), text, hint)
            return
        column, defects = self._key(self.board.rank_by, ("rank_by",))
        yield from defects
        if column is not None and column.direction == "none":
            text = f"{self.board.rank_by} has no better and worse, so nothing can be ranked by it"
            yield self._make("no_direction", ("rank_by",), text, "Rank by another result.")

    def columns(self) -> Iterator[Defect]:
        for position, key in enumerate(self.board.columns):
            if key == TRUST and self.board.utility:
                continue
            yield from self._key(key, ("columns", position))[1]

    def gates(self) -> Iterator[Defect]:
        for position, text in enumerate(self.board.gates):
            try:
                gate = parse_gate(text)
            except ValueError as error:
                hint = "KEY is a result, the signs are <=, >=, < and >."
                yield self._make("gate", ("gates", position), str(error), hint)
                continue
            yield from self._key(gate.key, ("gates", position))[1]

    def utilities(self) -> Iterator[Defect]:
        for key, utility in self.board.utility.items():
            column, defects = self._key(key, ("utility", key))
            yield from defects
            yield from self._anchors(key, utility, column)

    def _anchors(self, key: str, utility: UtilitySpec, column: Column | None) -> Iterator[Defect]:
        loc: Loc = ("utility", key)
        if utility.worst is not None and utility.worst == utility.best:
            yield self._make("value", loc, "worst and best are the same number", "Set two different anchors.")
        if column is None:
            return
        needed = {"maximise": (0, 1), "minimise": (1, 0)}.get(column.direction)
        if column.direction == "none" and None in (utility.worst, utility.best):
            yield self._make("anchors", loc, f"{key} has no better and worse by itself", "Add `worst` and `best`.")
        if needed is None:
            return
        for name, side in (("worst", needed[0]), ("best", needed[1])):
            if getattr(utility, name) is None and column.range[side] is None:
                text = f"{key} has no natural {name} value"
                hint = f"Add `{name}: ...`, the value that maps to {int(name == 'best')}."
                yield self._make("anchors", loc, text, hint)
