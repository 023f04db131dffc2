"""Tags of the templates: icons, pills, times, numbers, markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django import template
from django.core.serializers.json import DjangoJSONEncoder
from django.forms import BoundField
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from touchstone.core import told as stored
from touchstone.evaluations.validity import name_of
from touchstone.web import markdown as md
from touchstone.web import present
from touchstone.web.charts import Interval
from touchstone.web.forms import KINDS

register = template.Library()


@register.filter
def styled(field: BoundField) -> BoundField:
    """A field of somebody else's form with the look of ours: labels say what placeholders would."""
    attrs = field.field.widget.attrs
    attrs["class"] = "form-select" if field.widget_type == "select" else "form-control"
    attrs.pop("placeholder", None)
    return field


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """A decorative icon of the sprite; the word beside it says what it means."""
    return format_html(
        '<svg class="icon{}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        f" {extra}" if extra else "",
        static("web/vendor/lucide.svg"),
        name,
    )


@register.filter
def told(text: str) -> str:
    """A sentence that is stored in English, in the language of the page."""
    return stored.told(text)


@register.simple_tag(takes_context=True)
def here(context: Mapping[str, Any]) -> str:
    """The address of this page; of the page with the form, where this one answers a form."""
    request = context.get("request")
    if request is None:
        return "/"
    if request.method in ("GET", "HEAD"):
        return str(request.get_full_path())
    sender = urlsplit(request.headers.get("Referer", ""))
    query = f"?{sender.query}" if sender.query else ""
    return f"{sender.path}{query}" if sender.netloc == request.get_host() else "/"


@register.simple_tag
def badge(item: present.Badge, spin: bool = False) -> SafeString:
    """A pill with icon and word."""
    mark = icon(item.icon, "spin" if spin and item.icon == "loader" else "")
    tone = f" pill-{item.tone}" if item.tone else ""
    return format_html('<span class="pill{}">{}{}</span>', tone, mark, item.word)


@register.simple_tag
def run_badge(status: str) -> SafeString:
    return badge(present.RUN_BADGES[status], spin=True)


@register.simple_tag
def node_badge(state: str) -> SafeString:
    return badge(present.NODE_BADGES[state])


@register.simple_tag
def result_badge(state: str) -> SafeString:
    return badge(present.RESULT_BADGES.get(state, present.RESULT_BADGES["undefined"]))


@register.simple_tag
def verdict_badge(verdict: str) -> SafeString:
    """Whether a number under attack may be believed; the title says what the word means."""
    known = verdict if verdict in present.VERDICT_BADGES else "unchecked"
    return format_html('<span title="{}">{}</span>', present.VERDICT_TEXTS[known], badge(present.VERDICT_BADGES[known]))


@register.simple_tag
def phase_badge(state: str) -> SafeString:
    return badge(present.PHASE_BADGES[state])


@register.simple_tag
def visibility_badge(visibility: str) -> SafeString:
    return badge(present.VISIBILITY_BADGES[visibility])


@register.simple_tag
def when(moment: datetime | None) -> SafeString | str:
    """`2 hours ago`, with the absolute time in the title."""
    if moment is None:
        return "–"
    return format_html(
        '<time class="nowrap" datetime="{}" title="{}">{}</time>',
        moment.isoformat(timespec="seconds"),
        present.absolute(moment),
        present.relative(moment),
    )


@register.simple_tag
def moment(value: datetime | None) -> SafeString | str:
    """The absolute time, with the relative one in the title."""
    if value is None:
        return "–"
    return format_html(
        '<time class="nowrap num" datetime="{}" title="{}">{}</time>',
        value.isoformat(timespec="seconds"),
        present.relative(value),
        present.absolute(value),
    )


@register.simple_tag
def clock(value: datetime) -> SafeString:
    """The absolute time to the second, for histories."""
    return format_html(
        '<time class="nowrap num" datetime="{}" title="{}">{}</time>',
        value.isoformat(timespec="seconds"),
        present.relative(value),
        present.absolute(value, seconds=True),
    )


@register.simple_tag
def soon(value: datetime) -> SafeString | str:
    """A time to come that is an estimate; one that has passed is any moment now."""
    return when(value) if value > timezone.now() + timedelta(seconds=45) else _("any moment now")


@register.simple_tag
def day(value: datetime) -> SafeString:
    """The date, with the time in the title."""
    return format_html(
        '<time class="nowrap num" datetime="{}" title="{}">{}</time>',
        value.isoformat(timespec="seconds"),
        present.absolute(value),
        f"{value:%Y-%m-%d}",
    )


@register.simple_tag
def interval_svg(mark: Interval | None, extra: str = "") -> SafeString | str:
    """A small interval: track, bar, dot. Decoration: the same numbers stand beside it as text."""
    if mark is None:
        return ""
    ideal = (
        format_html('<line class="iv-ideal" x1="{0}" x2="{0}" y1="0" y2="12"></line>', mark.ideal) if mark.ideal else ""
    )
    bar = (
        format_html('<line class="iv-bar" x1="{}" x2="{}" y1="6" y2="6"></line>', mark.start, mark.end)
        if mark.has_bar
        else ""
    )
    return format_html(
        '<svg class="{}" height="12" aria-hidden="true" focusable="false">'
        '<line class="iv-track" x1="0" x2="100%" y1="6" y2="6"></line>{}{}'
        '<circle class="iv-dot" cx="{}" cy="6" r="3"></circle></svg>',
        extra or "interval",
        ideal,
        bar,
        mark.dot,
    )


@register.simple_tag
def meter(used: int, total: int) -> SafeString:
    """How much of an allowance is used, as a bar beside the same words."""
    share = 100.0 if total <= 0 else min(100.0, 100.0 * used / total)
    return format_html(
        '<svg class="meter" height="6" aria-hidden="true">'
        '<rect class="meter-track" width="100%" height="6" rx="3"></rect>'
        '<rect class="meter-fill" width="{}%" height="6" rx="3"></rect></svg>',
        f"{share:.1f}",
    )


register.filter("markdown", md.render)
register.filter("markdown_body", md.render_body)
register.filter("bytes", present.size)
register.filter("duration", present.duration)
register.filter("number", present.number)
register.filter("count", present.count)
register.filter("pillar", present.pillar)
register.filter("direction", present.direction)
register.filter("doubt_name", name_of)


@register.filter
def chart_options(options: dict[str, Any], name: str) -> SafeString:
    """The options of a chart as a block of data, which no browser runs."""
    # No script element: htmx takes those out of what it puts into a page.
    return format_html(
        '<div id="chart-{}-options" data-options="{}" hidden></div>', name, DjangoJSONEncoder().encode(options)
    )


@register.filter
def breakable(key: str) -> SafeString:
    """A result key that may break after its dots, underscores and brackets."""
    return format_html_join(
        mark_safe("<wbr>"), "{}", ((part,) for part in re.findall(r"[^._\[=]*[._\[=]?", key) if part)
    )


@register.filter
def short(digest: str) -> str:
    """The first 12 characters of a digest."""
    return digest[:12]


@register.filter
def kind_title(kind: str) -> str:
    """What a kind of submission is called."""
    return str(KINDS[kind].title)


@register.filter
def kind_help(kind: str) -> str:
    """What a kind of submission is."""
    return str(KINDS[kind].help)
