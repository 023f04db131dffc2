"""When phases are open, as a picture and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

_ROW, _TOP = 34, 10
#: Long enough for three ticks on three days.
_LEAST = timedelta(days=7)


@dataclass(frozen=True)
class Bar:
    """A phase in the picture; `x` and `width` are percent of it, `y` is pixels."""

    title: str
    x: str
    width: str
    y: int
    text_x: str
    text_y: int
    anchor: str
    endless: bool


@dataclass(frozen=True)
class Tick:
    x: str
    text: str
    anchor: str


@dataclass(frozen=True)
class Timeline:
    bars: list[Bar]
    ticks: list[Tick]
    now: str
    height: int
    axis_y: int
    text_y: int
    words: list[str]


@dataclass(frozen=True)
class _Span:
    title: str
    opens: datetime
    closes: datetime | None


def moment_of(text: object) -> datetime | None:
    """A time of competition.yml; nothing for what is none, or has no zone."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def timeline(phases: Sequence[Mapping[str, Any]], *, zone: tzinfo, at: datetime) -> Timeline | None:
    """The picture of those phases that have a start; nothing where none has."""
    spans = []
    for phase in phases:
        opens, closes = moment_of(phase.get("opens")), moment_of(phase.get("closes"))
        if opens is not None and (closes is None or closes > opens):
            spans.append(_Span(str(phase.get("title") or phase.get("slug") or _("Phase")), opens, closes))
    if not spans:
        return None
    spans.sort(key=lambda span: span.opens)
    start = spans[0].opens
    last = max(span.closes or span.opens for span in spans)
    if any(span.closes is None for span in spans) or last == start:
        last = max(last, at)  # what has no end is open today, if it has begun
        last += max((last - start) / 5, _LEAST)
    share = _Scale(start, last - start)
    bars = [_bar(row, span, last, share) for row, span in enumerate(spans)]
    bottom = _TOP + _ROW * len(spans)
    return Timeline(
        bars=bars, ticks=_ticks(share, zone), now=share(at) if start <= at <= last else "",
        height=bottom + 22, axis_y=bottom, text_y=bottom + 16, words=_words(spans, zone),
    )  # fmt: skip


@dataclass(frozen=True)
class _Scale:
    start: datetime
    length: timedelta

    def __call__(self, moment: datetime) -> str:
        return f"{100 * ((moment - self.start) / self.length):.2f}%"


def _bar(row: int, span: _Span, last: datetime, share: _Scale) -> Bar:
    end = span.closes or last
    width = f"{max(0.6, 100 * ((end - span.opens) / share.length)):.2f}%"
    y = _TOP + _ROW * row
    # A title begins where its bar does, and ends there where it would leave the picture.
    late = span.opens - share.start > share.length * 0.6
    text_x = share(min(end, last)) if late else share(span.opens)
    return Bar(
        title=span.title, x=share(span.opens), width=width, y=y + 14, text_x=text_x, text_y=y + 10,
        anchor="end" if late else "start", endless=span.closes is None,
    )  # fmt: skip


def _ticks(share: _Scale, zone: tzinfo) -> list[Tick]:
    ticks = []
    for quarter, anchor in ((0, "start"), (1, "middle"), (2, "end")):
        moment = share.start + share.length * quarter / 2
        ticks.append(Tick(f"{50 * quarter}%", f"{moment.astimezone(zone):%Y-%m-%d}", anchor))
    return ticks


def _words(spans: list[_Span], zone: tzinfo) -> list[str]:
    """What lies between one phase and the next: nothing, a gap, or time that both take."""
    found = []
    for one, other in pairwise(spans):
        names = {"one": one.title, "other": other.title, "at": _at(other.opens, zone)}
        if one.closes is None:
            text = _("“%(one)s” never closes, so “%(other)s” opens while it is still open. Give it an end.")
        elif one.closes > other.opens:
            names["time"] = length_text(min(one.closes, other.closes or one.closes) - other.opens)
            text = _(
                "“%(one)s” and “%(other)s” are both open for %(time)s from %(at)s. Let one end when the other begins."
            )
        elif one.closes < other.opens:
            names["time"] = length_text(other.opens - one.closes)
            text = _("Between “%(one)s” and “%(other)s” nothing is open for %(time)s: nobody can submit then.")
        else:
            text = _("“%(other)s” follows “%(one)s” at once, at %(at)s.")
        found.append(text % names)
    return found


def _at(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def length_text(length: timedelta) -> str:
    """`3 days`, `5 hours`, `20 minutes`: the largest unit that there is a whole one of."""
    minutes = int(length.total_seconds() // 60)
    if minutes >= 2 * 24 * 60:
        return ngettext("%(n)d day", "%(n)d days", minutes // 1440) % {"n": minutes // 1440}
    if minutes >= 120:
        return ngettext("%(n)d hour", "%(n)d hours", minutes // 60) % {"n": minutes // 60}
    return ngettext("%(n)d minute", "%(n)d minutes", max(1, minutes)) % {"n": max(1, minutes)}


def stored(typed: str, zone: tzinfo) -> str:
    """A time as typed in a zone, as competition.yml holds it: in UTC. What is no time stays as typed."""
    typed = typed.strip()
    try:
        found = datetime.fromisoformat(typed)
    except ValueError:
        return typed
    found = (found if found.tzinfo is not None else found.replace(tzinfo=zone)).astimezone(UTC)
    return f"{found:%Y-%m-%dT%H:%M:%S}Z" if found.second else f"{found:%Y-%m-%dT%H:%M}Z"


def typed(value: object, zone: tzinfo) -> str:
    """A stored time as its field shows it, in a zone; what is no time is shown as it is."""
    found = moment_of(value)
    if found is None:
        return "" if value is None else str(value)
    return f"{found.astimezone(zone):%Y-%m-%dT%H:%M}" + (f":{found:%S}" if found.second else "")
