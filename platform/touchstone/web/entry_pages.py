"""An entry's page in words: places, provenance, what its metrics mean; and the badge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from runners.spec import catalogue
from touchstone.core.names import named
from touchstone.core.told import told
from touchstone.evaluations.models import Result
from touchstone.leaderboards.entries import EntryView, Place
from touchstone.leaderboards.formatting import number
from touchstone.leaderboards.ranking import TRUST
from touchstone.leaderboards.rows import ROUNDED
from touchstone.submissions.models import Submission
from touchstone.web import board_pictures, present
from touchstone.web.charts import Chart
from touchstone.web.charts.results import pictures_of
from touchstone.web.endpoint_facts import endpoint_rows
from touchstone.web.forms import KINDS


@dataclass(frozen=True)
class PlaceText:
    """An entry's place on a board, in words."""

    board: Any
    text: str
    flags: list[present.Badge]


def places(found: Sequence[Place]) -> list[PlaceText]:
    """One line for each board."""
    return [PlaceText(p.board, place_text(p), [present.ENTRY_FLAGS[flag] for flag in p.flags]) for p in found]


def place_text(place: Place) -> str:
    """`rank 2 to 5: tied with 3 others`; why there is no rank; or that the rank is not told as a range."""
    if place.entry.unranked:
        return _("Not ranked: %s") % told(place.entry.unranked.partition(": ")[0])
    standing = place.standing
    if standing is None:
        return _("Ranked; the leaderboard shows where.")
    if standing.open:
        return _("Rank %d or worse: more than a thousand others may be as good.") % standing.best
    if standing.best == standing.worst:
        return _("Rank %d: no other entry's interval reaches this one's.") % standing.best
    return ngettext(
        "Rank %(best)d to %(worst)d: tied with %(n)d other, whose 95 %% interval overlaps.",
        "Rank %(best)d to %(worst)d: tied with %(n)d others, whose 95 %% intervals overlap.",
        standing.tied,
    ) % {"best": standing.best, "worst": standing.worst, "n": standing.tied}


@dataclass(frozen=True)
class Meaning:
    """What a metric says, how its interval was made, and where it misleads."""

    title: str
    summary: str
    formula: str
    interval: str
    limits: str


def meanings(results: Iterable[Result]) -> list[Meaning]:
    """The explanation of each metric of the results, once."""
    known = catalogue()["metrics"]
    names = list(dict.fromkeys(result.metric for result in results if result.metric in known))
    return [
        Meaning(
            *(named(str(known[name].get(part, ""))) for part in ("title", "summary", "formula", "interval", "limits"))
        )
        for name in names
    ]


def pictures(results: Iterable[Result]) -> list[Chart]:
    """Every picture in the details of the results; results of one metric may share one, which comes once."""
    made = {repr(chart.options): chart for result in reversed(list(results)) for chart in reversed(pictures_of(result))}
    return list(reversed(made.values()))


def provenance(found: EntryView) -> list[tuple[str, str]]:
    """Where the numbers come from: digests, versions, seed, dates, and the class of the machine."""
    submission, run = found.submission, found.submission.run
    assert run is not None
    split = submission.phase.split
    engine = run.engine or {}
    rows = [(_("Artifact"), f"{KINDS[submission.kind].title}")]
    rows += [(_("SHA-256 of %s") % file["name"], str(file["sha256"])) for file in submission.files[:5]]
    if submission.image:
        rows.append((_("Image"), submission.image))
    if submission.endpoint:
        rows.append(
            (_("Data left the platform"), _("Inputs were sent to an endpoint on a machine of its participant."))
        )
        rows += endpoint_rows(run)
    rows += [
        (_("Data"), _("split %(name)s, %(n)s items") % {"name": split.name, "n": present.count(split.n_items)}),
        (_("SHA-256 of the data"), split.digest),
        (_("Competition"), _("version %d of its file") % submission.phase.competition.version),
        (_("Seed"), str(run.seed)),
        (_("Submitted"), present.absolute(submission.created_at)),
        (_("Scored"), present.absolute(run.finished_at) if run.finished_at else "–"),
        (_("Engine"), f"{engine.get('name', '')} {engine.get('version', '')}".strip() or _elsewhere(submission)),
        (_("Hardware"), _hardware(run.environment)),
        (_("Run"), str(run.pk)),
    ]
    versions = run.environment.get("packages")
    if isinstance(versions, dict):
        rows.append((_("Versions"), ", ".join(f"{name} {version}" for name, version in sorted(versions.items())[:20])))
    return rows


def _elsewhere(submission: Submission) -> str:
    return _("none: an endpoint is asked where it is") if submission.endpoint else _("none: a file is read")


def _hardware(environment: dict[str, Any]) -> str:
    """The kind of machine, without its name."""
    named = (environment.get(name) for name in ("cpu", "processor", "machine", "gpu"))
    told = [value for value in named if isinstance(value, str) and value]
    return ", ".join(dict.fromkeys(told)) or "–"


def badge_texts(found: EntryView, *, blunt: bool) -> tuple[str, str]:
    """What a badge says on its two sides: the competition, and rank and score."""
    label = found.board.phase.competition.title
    if found.withdrawn:
        return label, _("withdrawn")
    if not found.places:
        return label, _("replaced by a later entry")
    place = found.places[0]
    if place.entry.unranked:
        return label, ""
    key = found.board.spec["rank_by"]
    value = place.entry.scores.get(key, {}).get("value")
    column = board_pictures.ranking_column(place.board, blunt)
    score = number(None if value is None else round(value, ROUNDED) if blunt else value, column.decimals)
    title = _("trust") if key == TRUST else column.title
    standing = place.standing
    if standing is None:
        return label, f"{title} {score}"
    rank = f"{standing.best}" if standing.best == standing.worst else f"{standing.best}–{standing.worst}"
    rank = _("%s or worse") % standing.best if standing.open else rank
    return label, _("rank %(rank)s · %(title)s %(score)s") % {"rank": rank, "title": title, "score": score}


def badge_svg(label: str, text: str) -> str:
    """Two boxes with words. Everything written in it is escaped; widths are guessed, and the words fitted to them."""
    left, right = _shorten(label, 40), _shorten(text, 70)
    a, b = 16 + 7 * len(left), 16 + 7 * len(right)
    return format_html(
        '<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="24" role="img" aria-label="{left}: {right}">'
        "<title>{left}: {right}</title>"
        '<rect width="{a}" height="24" fill="#1b2330"/><rect x="{a}" width="{b}" height="24" fill="#1f5fbf"/>'
        '<g fill="#ffffff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        '<text x="{m}" y="16" textLength="{la}" lengthAdjust="spacingAndGlyphs">{left}</text>'
        '<text x="{n}" y="16" textLength="{lb}" lengthAdjust="spacingAndGlyphs">{right}</text></g></svg>',
        w=a + b, a=a, b=b, left=left, right=right, m=a / 2, n=a + b / 2, la=7 * len(left), lb=7 * len(right),
    )  # fmt: skip


def _shorten(text: str, most: int) -> str:
    """Printable and short."""
    clean = "".join(character if character.isprintable() else " " for character in text)
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def badge_markdown(request: HttpRequest, found: EntryView, badge_url: str) -> str:
    """The line for a README."""
    page = reverse("web:entry", args=[found.board.phase.competition.slug, found.submission.pk])
    title = found.board.phase.competition.title.replace("[", "(").replace("]", ")")
    return f"[![{title}]({request.build_absolute_uri(badge_url)})]({request.build_absolute_uri(page)})"
