"""A report from what its reader may see of a phase's first leaderboard: nothing is in it that the board hides."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from runners.spec.catalogue_file import Offer, catalogue
from runners.spec.models import CompetitionSpec
from touchstone.competitions.models import Competition, DataSplit, Phase
from touchstone.competitions.selectors import Viewer, downloads_allowed, is_organiser
from touchstone.core.clock import now
from touchstone.core.errors import NotFound
from touchstone.core.told import told
from touchstone.leaderboards.ranking import TRUST, columns_offered
from touchstone.leaderboards.selectors import (
    BoardColumn,
    BoardPage,
    board_hidden,
    export_keys,
    leaderboard_page,
    leaderboards_of,
)
from touchstone.web import present
from touchstone.web.boards import rank_text
from touchstone.web.metrics import metric_groups
from touchstone.web.report.pictures import Dot, dots
from touchstone.web.report.words import Measured, apart, comparison, sentence

#: Participants that a report tells of; the leaderboard has all.
SHOWN = 10
_COLUMNS = 60
_DOUBTFUL = ("suspect", "broken")


@dataclass(frozen=True)
class Told:
    """What is said of one participant in one part."""

    name: str
    sentences: list[str]


@dataclass(frozen=True)
class Part:
    """The results of one pillar, with a picture of the first of them."""

    title: str | Promise
    people: list[Told]
    picture: SafeString | str
    caption: str


@dataclass(frozen=True)
class Report:
    """Everything a report says, formatted."""

    competition: Competition
    phase: Phase
    made_at: datetime
    board: str
    ranking: str
    summary: list[str]
    ranks: list[dict[str, Any]]
    parts: list[Part]
    limits: list[str]
    data: list[tuple[str, str]]
    metrics: Any
    provenance: list[tuple[str, str]]
    more: int = 0
    notes: list[str] = field(default_factory=list)


def report_of(*, competition: Competition, phase: Phase, user: Viewer) -> Report:
    """The report of a phase. Raises `NotFound` with the reason while its results are hidden from `user`."""
    boards = [board for board in leaderboards_of(competition=competition) if board.phase_id == phase.pk]
    phase.competition = competition
    hidden = board_hidden(phase=phase, user=user)
    if hidden or not boards:
        raise NotFound(
            hidden
            or _("The phase %(phase)s has no leaderboard, so there is nothing to report.") % {"phase": phase.slug}
        )
    board = boards[0]
    board.phase = phase
    keys = [board.spec["rank_by"], *export_keys(board)][:_COLUMNS]
    offer = columns_offered(spec=CompetitionSpec.model_validate(competition.spec))
    known = [key for key in dict.fromkeys(keys) if key == TRUST or offer.find(key) is not None]
    page = leaderboard_page(leaderboard=board, user=user, cols=",".join(known), limit=SHOWN)
    rows = [(row, _measured(row, page, offer)) for row in page.rows]
    ranking = next((column for column in page.columns if column.is_ranking), None)
    return Report(
        competition=competition, phase=phase, made_at=now(), board=board.title,
        ranking=ranking.title if ranking else board.spec["rank_by"],
        summary=_summary(rows, board.spec["rank_by"], competition.spec),
        ranks=_ranks(rows, board.spec["rank_by"]), parts=_parts(rows, page, competition.spec),
        limits=_limits(rows, page), data=_data(competition, phase, user), metrics=metric_groups(competition.spec),
        provenance=_provenance(competition, phase, page), more=max(0, page.total - len(page.rows)),
    )  # fmt: skip


Rows = list[tuple[dict[str, Any], list[Measured]]]


def _measured(row: dict[str, Any], page: BoardPage, offer: Offer) -> list[Measured]:
    return [_one(column, cell, offer) for column, cell in zip(page.columns, row["cells"], strict=True)]


def _one(column: BoardColumn, cell: dict[str, Any], offer: Offer) -> Measured:
    known = offer.find(column.key)
    span = (0.0, 1.0) if column.key == TRUST else known.range if known else (None, None)
    return Measured(
        key=column.key, metric=known.metric if known else "", title=column.title, value=cell["value"],
        low=cell["low"], high=cell["high"], n=cell["n"], unit=column.unit, direction=column.direction, span=span,
        state=cell["state"], reason=told(cell["reason"]), verdict=cell["verdict"],
    )  # fmt: skip


def _summary(rows: Rows, rank_by: str, spec: dict[str, Any]) -> list[str]:
    """The best, how it did, and whom of the others it is really better than."""
    ranked = [(row, _find(found, rank_by)) for row, found in rows if not row["unranked"]]
    told = [(row, one) for row, one in ranked if one is not None and one.value is not None]
    if not told:
        return [_("No submission has a result that can be ranked yet.")]
    first, value = told[0]
    texts = [f"{_name(first)} {_('has the best result')}: {sentence(value, spec)}."]
    behind = [_name(row) for row, other in told[1:] if apart(value, other)]
    level = [_name(row) for row, other in told[1:] if not apart(value, other)]
    if level:
        texts.append(comparison(_name(first), level, value.title, told_apart=False))
    if behind:
        texts.append(comparison(_name(first), behind, value.title, told_apart=True))
    return texts


def _ranks(rows: Rows, rank_by: str) -> list[dict[str, Any]]:
    found = []
    for row, measured in rows:
        one = _find(measured, rank_by)
        found.append({
            "rank": rank_text(row), "name": _name(row), "value": present.number(one.value) if one else "–",
            "interval": present.interval_text(one.low, one.high) if one else "", "why": told(row["unranked"]),
            "sent": row["n_submissions"],
        })  # fmt: skip
    return found


def _parts(rows: Rows, page: BoardPage, spec: dict[str, Any]) -> list[Part]:
    pillars: dict[str, list[str]] = {}
    for column in page.columns:
        metric = next((one.metric for _row, found in rows for one in found if one.key == column.key), "")
        entry = catalogue()["metrics"].get(metric)
        pillar = "trust" if column.key == TRUST else entry["pillar"] if entry else metric.partition(".")[0]
        pillars.setdefault(pillar or "other", []).append(column.key)
    return [_part(name, keys, rows, spec) for name, keys in pillars.items()]


def _part(name: str, keys: list[str], rows: Rows, spec: dict[str, Any]) -> Part:
    people = []
    for row, found in rows:
        own = [one for one in found if one.key in keys and one.value is not None]
        people.append(Told(_name(row), [f"{_capital(sentence(one, spec))}{_doubt(one)}." for one in own]))
    first = next((key for key in keys if any(_has(found, key) for _row, found in rows)), "")
    drawn = [
        Dot(_name(row), one.value, one.low, one.high, present.number(one.value))
        for row, found in rows
        if (one := _find(found, first)) is not None and one.value is not None
    ]
    title = next((one.title for _row, found in rows for one in found if one.key == first), "")
    span = next((one.span for _row, found in rows for one in found if one.key == first), (None, None))
    picture = dots(id=f"picture-{name}", title=title, rows=drawn, span=span) if drawn else ""
    caption = _("%s: a dot is what was measured, its bar the 95 %% interval.") % title if drawn else ""
    return Part(present.pillar(name).title, [told for told in people if told.sentences], picture, caption)


def _limits(rows: Rows, page: BoardPage) -> list[str]:
    """What is missing or doubtful, counted over the participants that are told of."""
    texts = []
    missing: dict[tuple[str, str], int] = {}
    for _row, found in rows:
        for one in found:
            if one.value is None and one.state != "missing":
                key = (one.title, one.reason or str(present.RESULT_BADGES[one.state].word))
                missing[key] = missing.get(key, 0) + 1
    for (title, reason), count in missing.items():
        text = ngettext(
            "%(title)s has no value for %(n)d participant: %(reason)s",
            "%(title)s has no value for %(n)d participants: %(reason)s", count,
        )  # fmt: skip
        texts.append(text % {"title": title, "n": count, "reason": reason})
    for row, found in rows:
        for one in found:
            if one.verdict in _DOUBTFUL:
                names = {"title": one.title, "name": _name(row), "why": present.VERDICT_TEXTS[one.verdict]}
                texts.append(_("%(title)s of %(name)s is in doubt: %(why)s") % names)
    if page.blunt:
        texts.append(_("This phase rounds what it tells while it runs: there are no intervals yet."))
    texts.append(
        _("An interval says how far chance in the choice of these cases can have moved a number. It does not say how "
          "the systems do on other data, or in use.")
    )  # fmt: skip
    return texts


def _data(competition: Competition, phase: Phase, user: Viewer) -> list[tuple[str, str]]:
    """How many of what. Of labels that are not public, only organisers are told how they are distributed."""
    split = phase.split
    known = is_organiser(user=user, competition=competition) or (
        split.visibility == DataSplit.Visibility.PUBLIC and downloads_allowed(user=user, competition=competition)
    )
    facts = split.facts if known else {}
    rows = [(_("Data"), f"{split.name}: {present.count(split.n_items)} {_('items')}")]
    classes = facts.get("classes") or {}
    if classes:
        rows.append((_("Classes"), ", ".join(f"{name}: {present.count(count)}" for name, count in classes.items())))
    for name, values in (facts.get("attributes") or {}).items():
        told = ", ".join(f"{value or _('unknown')}: {present.count(count)}" for value, count in values.items())
        rows.append((str(name), told))
    aggregate = competition.spec.get("aggregate")
    if aggregate:
        rows.append((_("Decisions"), _("one for each %s") % aggregate["by"]))
    return rows


def _provenance(competition: Competition, phase: Phase, page: BoardPage) -> list[tuple[str, str]]:
    span = present.absolute(phase.opens) + (f" – {present.absolute(phase.closes)}" if phase.closes else "")
    return [
        (_("Competition"), f"{competition.slug}, {_('version')} {competition.version}"),
        (_("Digest of its bundle"), competition.bundle_digest), (_("Phase"), f"{phase.slug}, {span}"),
        (_("Digest of the data"), phase.split.digest),
        (_("Leaderboard"), f"{page.leaderboard.slug}, {_('state')} {page.version}"),
    ]  # fmt: skip


def _find(found: list[Measured], key: str) -> Measured | None:
    return next((one for one in found if one.key == key), None)


def _has(found: list[Measured], key: str) -> bool:
    one = _find(found, key)
    return one is not None and one.value is not None


def _name(row: dict[str, Any]) -> str:
    return f"{row['participant']} ({_('baseline')})" if row["is_baseline"] else str(row["participant"])


def _doubt(one: Measured) -> str:
    return f" – {present.VERDICT_TEXTS[one.verdict]}".rstrip(".") if one.verdict in _DOUBTFUL else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
