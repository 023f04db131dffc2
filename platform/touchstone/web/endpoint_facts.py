"""How an endpoint answered during a run, in words: what the platform saw of it, and what it cannot know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from touchstone.evaluations.models import Run
from touchstone.web import present


def endpoint_rows(run: Run) -> list[tuple[str, str]]:
    """Name and text of each figure of `environment["endpoint"]`; what is not there is left out."""
    facts = run.environment.get("endpoint")
    if not isinstance(facts, Mapping):
        return []
    rows = [(_("Items asked"), _asked(facts)), (_("Answered at once"), _availability(facts))]
    rows += [
        (_("Time of a request"), _spread(facts.get("latency"))),
        (_("Of it the network"), _spread(facts.get("network"))),
    ]
    rows.append((_("Asked again at the end"), _drift(facts.get("drift"))))
    rows.append((_("Not known"), _("memory, energy, and what a question costs on its own machine")))
    return [(name, text) for name, text in rows if text]


def endpoint_budget(submission: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a run may ask of an endpoint, where the competition takes some."""
    given = submission.get("endpoint")
    if "endpoint" not in submission.get("kinds", ()) or not isinstance(given, Mapping):
        return []
    text = _(
        "at most %(queries)s items, and %(each)s for each item; %(items)s in a request, %(rate)s requests a second"
    )
    asked = {
        "queries": present.count(given["queries"]), "each": present.count(given["queries_per_item"]),
        "items": given["items"], "rate": f"{given['rate']:g}",
    }  # fmt: skip
    limits = _("%(timeout)s each, sent again up to %(retries)s times") % {
        "timeout": present.duration(given["timeout"]), "retries": given["retries"],
    }  # fmt: skip
    return [(_("Endpoints are asked"), text % asked), (_("Requests to endpoints"), limits)]


def _asked(facts: Mapping[str, Any]) -> str:
    asked, most = facts.get("items_asked"), facts.get("items_allowed")
    if not isinstance(asked, int) or not isinstance(most, int):
        return ""
    stages = facts.get("items_by_stage")
    parts = "; ".join(
        f"{present.stage(str(name))} {present.count(n)}" for name, n in stages.items() if isinstance(n, int)
    ) if isinstance(stages, Mapping) else ""  # fmt: skip
    text = _("%(asked)s of at most %(most)s") % {"asked": present.count(asked), "most": present.count(most)}
    return f"{text} ({parts})" if parts else text


def _availability(facts: Mapping[str, Any]) -> str:
    at_once, questions = facts.get("answered_at_once"), facts.get("questions")
    if not isinstance(at_once, int) or not isinstance(questions, int) or not questions:
        return ""
    return _("%(at_once)s of %(questions)s requests") % {
        "at_once": present.count(at_once), "questions": present.count(questions),
    }  # fmt: skip


def _spread(found: Any) -> str:
    if not isinstance(found, Mapping) or not found.get("n"):
        return ""
    return _("median %(median)s, 95 %% within %(p95)s") % {
        "median": present.duration(found["median"]), "p95": present.duration(found["p95"]),
    }  # fmt: skip


def _drift(found: Any) -> str:
    if not isinstance(found, Mapping) or not found.get("asked"):
        return _("not checked") if found else ""
    text = _("%(differed)s of %(asked)s items had another answer (95 %% interval %(low).1f to %(high).1f %%)") % {
        "differed": found["differed"], "asked": found["asked"], "low": 100 * found["low"], "high": 100 * found["high"],
    }  # fmt: skip
    return text + (_("; it changed during the run") if found.get("flagged") else "")
