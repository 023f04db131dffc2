"""Numbers, sizes, times and states as people read them. Formatting happens here, not in templates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

MINUS = "−"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Badge:
    """A state: a word and an icon, so that it never speaks by colour alone."""

    word: str | Promise
    icon: str
    tone: str = ""


RUN_BADGES = {
    "received": Badge(gettext_lazy("Received"), icon="inbox"),
    "checking": Badge(gettext_lazy("Checking"), icon="loader", tone="active"),
    "queued": Badge(gettext_lazy("Queued"), icon="hourglass", tone="active"),
    "running": Badge(gettext_lazy("Running"), icon="loader", tone="active"),
    "scored": Badge(gettext_lazy("Scored"), icon="circle-check", tone="ok"),
    "rejected": Badge(gettext_lazy("Rejected"), icon="circle-x", tone="error"),
    "failed": Badge(gettext_lazy("Failed"), icon="triangle-alert", tone="error"),
    "cancelled": Badge(gettext_lazy("Cancelled"), icon="ban"),
}
NODE_BADGES = {
    "ready": Badge(gettext_lazy("Ready"), icon="circle-check", tone="ok"),
    "busy": Badge(gettext_lazy("Busy"), icon="loader", tone="active"),
    "draining": Badge(gettext_lazy("Draining"), icon="hourglass", tone="warn"),
    "drained": Badge(gettext_lazy("Drained"), icon="circle-minus"),
    "quarantined": Badge(gettext_lazy("In quarantine"), icon="triangle-alert", tone="error"),
    "offline": Badge(gettext_lazy("Offline"), icon="circle-dashed", tone="warn"),
    "disabled": Badge(gettext_lazy("Disabled"), icon="ban"),
}


@dataclass(frozen=True)
class NodeAct:
    """Something done with a node: its button, what it means, what is said afterwards, and where it is idle."""

    button: str | Promise
    means: str | Promise
    done: str | Promise
    idle: str | Promise


NODE_ACTS = {
    "drain": NodeAct(
        gettext_lazy("Drain"),
        gettext_lazy("The node finishes what it runs and gets no new runs, until you undrain it."),
        gettext_lazy("gets no new runs."),
        gettext_lazy("%(node)s is drained already."),
    ),
    "undrain": NodeAct(
        gettext_lazy("Undrain"),
        gettext_lazy("The node gets runs again."),
        gettext_lazy("gets runs again."),
        gettext_lazy("%(node)s is not drained."),
    ),
    "release": NodeAct(
        gettext_lazy("Release"),
        gettext_lazy("The node leaves quarantine and gets runs again. Mend first what put it there."),
        gettext_lazy("is out of quarantine."),
        gettext_lazy("%(node)s is not in quarantine."),
    ),
    "disable": NodeAct(
        gettext_lazy("Disable"),
        gettext_lazy("The node's token is refused from now on. What it runs goes back to the queue."),
        gettext_lazy("is refused from now on."),
        gettext_lazy("%(node)s is disabled."),
    ),
}
FINAL_STATES = frozenset({"scored", "rejected", "failed", "cancelled"})

RESULT_BADGES = {
    "ok": Badge(gettext_lazy("Measured"), icon="circle-check", tone="ok"),
    "undefined": Badge(gettext_lazy("Undefined"), icon="circle-dashed", tone="warn"),
    "too_few": Badge(gettext_lazy("Too few items"), icon="circle-dashed", tone="warn"),
    "not_applicable": Badge(gettext_lazy("Not applicable"), icon="circle-minus"),
    "failed": Badge(gettext_lazy("Not computed"), icon="triangle-alert", tone="error"),
}

#: Whether a number under attack may be believed.
VERDICT_BADGES = {
    "sound": Badge(gettext_lazy("Sound"), icon="shield-check", tone="ok"),
    "suspect": Badge(gettext_lazy("Suspect"), icon="triangle-alert", tone="warn"),
    "broken": Badge(gettext_lazy("Broken"), icon="circle-x", tone="error"),
    "unchecked": Badge(gettext_lazy("Not checked"), icon="circle-dashed"),
}
VERDICT_TEXTS = {
    "sound": gettext_lazy("No check speaks against this number."),
    "suspect": gettext_lazy("The true robust accuracy may be lower."),
    "broken": gettext_lazy("This number does not measure robustness."),
    "unchecked": gettext_lazy("Nothing was attacked, or the checks were switched off."),
}

#: What is to be known of an entry of a leaderboard.
ENTRY_FLAGS = {
    "baseline": Badge(gettext_lazy("Baseline"), icon="minus"),
    "organiser": Badge(gettext_lazy("Organiser's entry"), icon="settings"),
    "late": Badge(gettext_lazy("Late"), icon="clock", tone="warn"),
    "again": Badge(gettext_lazy("Being evaluated again"), icon="loader", tone="active"),
    "endpoint": Badge(gettext_lazy("Data left the platform"), icon="globe"),
    "drift": Badge(gettext_lazy("Changed during its run"), icon="triangle-alert", tone="warn"),
    "withdrawn": Badge(gettext_lazy("Withdrawn"), icon="ban", tone="warn"),
}

PHASE_BADGES = {
    "upcoming": Badge(gettext_lazy("Upcoming"), icon="clock"),
    "open": Badge(gettext_lazy("Open"), icon="circle-dot", tone="ok"),
    "closed": Badge(gettext_lazy("Closed"), icon="lock"),
}

VISIBILITY_BADGES = {
    "public": Badge(gettext_lazy("Public"), icon="globe"),
    "unlisted": Badge(gettext_lazy("Unlisted"), icon="link"),
    "private": Badge(gettext_lazy("Private"), icon="lock"),
    "inputs": Badge(gettext_lazy("Inputs only"), icon="eye"),
    "hidden": Badge(gettext_lazy("Hidden"), icon="eye-off"),
}

SPLIT_TEXTS = {
    "public": gettext_lazy("Everything can be downloaded, labels included."),
    "inputs": gettext_lazy("Inputs can be downloaded. Labels, attributes and clusters stay with the judge."),
    "hidden": gettext_lazy("Nothing can be downloaded. Only the judge sees it."),
}


@dataclass(frozen=True)
class Pillar:
    title: str | Promise
    icon: str


PILLARS = {
    "trust": Pillar(gettext_lazy("Trust"), icon="shield-check"),
    "performance": Pillar(gettext_lazy("Performance"), icon="target"),
    "robustness": Pillar(gettext_lazy("Robustness"), icon="shield"),
    "fairness": Pillar(gettext_lazy("Fairness"), icon="scale"),
    "calibration": Pillar(gettext_lazy("Calibration"), icon="circle-dot"),
    "efficiency": Pillar(gettext_lazy("Efficiency"), icon="gauge"),
    "explainability": Pillar(gettext_lazy("Explainability"), icon="lightbulb"),
    "privacy": Pillar(gettext_lazy("Privacy"), icon="fingerprint"),
}


def pillar(name: str) -> Pillar:
    """A pillar by its name; an unknown one (of an extension) is shown by that name."""
    return PILLARS.get(name) or Pillar(name.replace("_", " ").capitalize(), icon="activity")


@dataclass(frozen=True)
class Direction:
    text: str | Promise
    icon: str
    ideal: float | None = None


DIRECTIONS = {
    "maximise": Direction(gettext_lazy("higher is better"), icon="arrow-up"),
    "minimise": Direction(gettext_lazy("lower is better"), icon="arrow-down"),
    "zero": Direction(gettext_lazy("0 is best"), icon="target", ideal=0.0),
    "one": Direction(gettext_lazy("1 is best"), icon="target", ideal=1.0),
    "none": Direction(gettext_lazy("no direction"), icon="minus"),
}


def direction(name: str) -> Direction:
    return DIRECTIONS.get(name, DIRECTIONS["none"])


#: Settings of the judge's own checks: they say nothing of what was measured.
_TECHNICAL = frozenset({"check_items", "check_queries"})


def shown_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a metric that tell a reader something."""
    return {key: value for key, value in parameters.items() if key not in _TECHNICAL}


def number(value: float | None, *, decimals: int = 3) -> str:
    """`0.873`, `−0.120`, `12 480`, `3.1×10⁻⁷`; an en dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    value += 0.0  # minus zero is zero
    size = abs(value)
    if size >= 1e7 or 0 < size < 0.5 * 10**-decimals:
        mantissa, exponent = f"{value:.1e}".split("e")
        text = f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    elif size >= 1000:
        text = f"{value:,.0f}".replace(",", "\u202f")
    else:
        text = f"{value:.{min(1, decimals) if size >= 100 else decimals}f}"
    return text.replace("-", MINUS)


def interval_text(low: float | None, high: float | None) -> str:
    """`[0.861, 0.884]`, empty when there is no interval."""
    return "" if low is None or high is None else f"[{number(low)}, {number(high)}]"


def count(value: int | None) -> str:
    """A whole number with narrow spaces between thousands."""
    return "–" if value is None else f"{value:,}".replace(",", "\u202f")


def size(value: int | float | None) -> str:
    """Bytes as KiB, MiB, GiB."""
    if value is None:
        return "–"
    amount, unit = float(value), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" or amount == int(amount) else f"{amount:.1f} {unit}"


def speed(operations: float | None) -> str:
    """A calibration as billions of multiply-add operations a second; empty where there is none."""
    return "" if not operations else _("%s G multiply-adds a second") % number(operations / 1e9, decimals=1)


#: What a node calls its stages, in words. A metric's stage is `metric:<prefix>`.
_STAGES = {
    "fetch": gettext_lazy("Fetching data and submission"),
    "load": gettext_lazy("Reading the data"),
    "prepare": gettext_lazy("Unpacking the submission"),
    "start": gettext_lazy("Starting the submission"),
    "sample": gettext_lazy("Trying the sample"),
    "predict": gettext_lazy("Asking for the answers"),
    "drift": gettext_lazy("Asking again at the end"),
}


def stage(name: str) -> str:
    """A stage of a run in words; a name that is not known stays as it is."""
    kind, _sep, prefix = name.partition(":")
    if kind == "metric" and prefix:
        return _("Measuring %s") % prefix
    return str(_STAGES.get(name, name))


def duration(seconds: float | None) -> str:
    """`0.42 s`, `38 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds is None:
        return "–"
    if 0 < seconds < 0.01:
        return _("< 0.01 s")
    if seconds < 10:
        return _("%s s") % f"{seconds:.2f}"
    whole = round(seconds)
    if whole < 60:
        return _("%d s") % whole
    if whole < 3600:
        return _pair(_("%d min") % (whole // 60), whole % 60, _("%d s"))
    if whole < 86400:
        return _pair(_("%d h") % (whole // 3600), whole % 3600 // 60, _("%d min"))
    return _pair(_("%d d") % (whole // 86400), whole % 86400 // 3600, _("%d h"))


def _pair(first: str, rest: int, template: str) -> str:
    return f"{first} {template % rest}" if rest else first


def absolute(moment: datetime, *, seconds: bool = False) -> str:
    """`2026-11-21 07:50 UTC`: every time on a page can be read without knowing the server's zone."""
    form = "%Y-%m-%d %H:%M:%S %Z" if seconds else "%Y-%m-%d %H:%M %Z"
    return moment.astimezone(timezone.get_default_timezone()).strftime(form)


def relative(moment: datetime, *, at: datetime | None = None) -> str:
    """`in 3 days`, `2 hours ago`, `just now`."""
    delta = (moment - (at or timezone.now())).total_seconds()
    span = abs(delta)
    if span < 45:
        return _("just now") if delta <= 0 else _("in a moment")
    text = _span(span)
    return _("in %s") % text if delta > 0 else _("%s ago") % text


def _span(seconds: float) -> str:
    minutes, hours, days = round(seconds / 60), round(seconds / 3600), round(seconds / 86400)
    if minutes < 60:
        return ngettext("%d minute", "%d minutes", minutes) % minutes
    if hours < 36:
        return ngettext("%d hour", "%d hours", hours) % hours
    if days < 60:
        return ngettext("%d day", "%d days", days) % days
    if days < 730:
        months = round(days / 30.44)
        return ngettext("%d month", "%d months", months) % months
    years = round(days / 365.25)
    return ngettext("%d year", "%d years", years) % years
