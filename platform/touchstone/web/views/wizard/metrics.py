"""The wizard's metrics: those of the draft with their cost, the catalogue, and the form of each."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from runners.costs import asks_something
from touchstone.core.errors import NotFound
from touchstone.drafts.inspections import split_found
from touchstone.drafts.metric_cards import PILLARS, Search, Surroundings, card_of, catalogue_cards, surroundings_of
from touchstone.drafts.metric_costs import (
    MOST_ITEMS,
    USUAL_MS,
    Estimate,
    estimate,
    largest_split,
    time_limit,
    use_cost,
)
from touchstone.drafts.metric_lists import added, entries, moved, put, removed, usual_values
from touchstone.drafts.metric_parameters import KNOWN
from touchstone.drafts.models import Draft
from touchstone.drafts.selectors import draft_bodies
from touchstone.web.metric_forms import MetricForm
from touchstone.web.metric_present import cost_text, shown_card, shown_cost, shown_use
from touchstone.web.views.support import is_htmx
from touchstone.web.views.wizard.frame import step_view, wizard_context, wizard_save

_PAGE, _FORM = "web/organise/wizard/metrics.html", "web/organise/wizard/metric_form.html"
_FORM_PART, _FOUND_PART = "web/organise/wizard/_metric_form.html", "web/organise/wizard/_metric_cards.html"
_ALL = "all"


@step_view
def metrics(request: HttpRequest, draft: Draft) -> HttpResponse:
    """Those that are chosen, what they cost, and the catalogue. Posting moves or removes one."""
    bodies = draft_bodies(draft=draft)
    uses = entries(bodies["metrics"])
    if request.method == "POST":
        act, _dash, index = request.POST.get("act", "").partition("-")
        at = int(index) if index.isascii() and index.isdigit() and len(index) < 6 else -1
        after = removed(uses, at) if act == "remove" else moved(uses, at, -1 if act == "up" else 1)
        return wizard_save(request, draft, "metrics", {**bodies["metrics"], "metrics": after})
    found = _catalogue(request, _around(draft, bodies), uses)
    if is_htmx(request):
        return render(request, _FOUND_PART, {"draft": draft, **found})
    bill = _bill(request, draft, bodies, uses)
    shown = [shown_use(index, use, bill.uses[index]) for index, use in enumerate(uses)]
    extra = {"uses": shown, "bill": shown_cost(bill), **found}
    return render(request, _PAGE, wizard_context(request, draft, "metrics", **extra))


def _around(draft: Draft, bodies: dict[str, dict[str, Any]]) -> Surroundings:
    return surroundings_of(bodies, draft.files.filter(path__startswith="surrogates/").values_list("path", flat=True))


def _catalogue(request: HttpRequest, around: Surroundings, uses: list[Any]) -> dict[str, Any]:
    given = request.GET
    asked = given.get("pillar", "")
    pillar = "" if asked == _ALL or given.get("q", "").strip() else asked or PILLARS[0]
    search = Search(
        q=given.get("q", "")[:100], pillar=pillar, fit=given.get("fit", ""), attributes=given.get("groups", ""),
        varies=given.get("varies", ""), cost=given.get("cost", ""),
    )  # fmt: skip
    names = [str(use.get("use")) for use in uses if isinstance(use, dict)]
    cards = [shown_card(card) for card in catalogue_cards(around, search, uses=names)]
    return {"cards": cards, "search": search, "pillars": PILLARS, "all": len(KNOWN["metrics"]), "around": around}


def _bill(request: HttpRequest, draft: Draft, bodies: dict[str, dict[str, Any]], uses: list[Any]) -> Estimate:
    phases = bodies["phases"].get("phases")
    items, split = largest_split(split_found(draft=draft), phases if isinstance(phases, list) else [])
    typed = request.GET.get("items", "").replace(" ", "")
    if typed.isascii() and typed.isdigit() and 0 < len(typed) < 10 and 0 < int(typed) != items:
        items, split = min(int(typed), MOST_ITEMS), ""
    return estimate(uses, items=items, split=split, ms=_ms(request), limit=time_limit(bodies["rules"]))


def _ms(request: HttpRequest) -> float:
    try:
        ms = float(request.GET.get("ms", ""))
    except ValueError:
        return USUAL_MS
    return ms if 0 < ms <= 1e6 else USUAL_MS


@step_view
def metric_add(request: HttpRequest, draft: Draft, metric: str) -> HttpResponse:
    """The form of a metric that the draft does not have yet, or not with these parameters."""
    if metric not in KNOWN["metrics"]:
        raise NotFound(_("There is no metric named %s.") % metric[:80], _("Choose one from the catalogue."))
    bodies = draft_bodies(draft=draft)
    around = _around(draft, bodies)
    values, alias = usual_values(metric, entries(bodies["metrics"]), around)
    form = _form(request, metric, around, values, alias)
    if request.method == "POST" and _wanted(request, form):
        body = {**bodies["metrics"], "metrics": added(entries(bodies["metrics"]), form.use)}
        return wizard_save(request, draft, "metrics", body)
    return _form_page(request, draft, form, around, index=None)


@step_view
def metric_edit(request: HttpRequest, draft: Draft, index: int) -> HttpResponse:
    """The form of one of the draft's metrics."""
    bodies = draft_bodies(draft=draft)
    uses = entries(bodies["metrics"])
    use = uses[index] if index < len(uses) and isinstance(uses[index], dict) else {}
    name = str(use.get("use", ""))
    if name not in KNOWN["metrics"]:
        raise NotFound(_("The draft has no such metric."), _("It may have been moved or removed: look at the list."))
    around = _around(draft, bodies)
    values = {key: value for key, value in use.items() if key not in ("use", "as")}
    form = _form(request, name, around, values, str(use.get("as") or ""))
    if request.method == "POST" and _wanted(request, form):
        return wizard_save(request, draft, "metrics", {**bodies["metrics"], "metrics": put(uses, index, form.use)})
    return _form_page(request, draft, form, around, index=index)


def _form(request: HttpRequest, metric: str, around: Surroundings, values: dict[str, Any], alias: str) -> MetricForm:
    data = request.POST if request.method == "POST" else None
    return MetricForm(metric, choices=around.choices, values=values, alias=alias, data=data)


def _wanted(request: HttpRequest, form: MetricForm) -> bool:
    """Whether it is to be saved, and can be; else the form is shown as it was typed."""
    if request.POST.get("act") == "show":
        form.unasked()
        return False
    return form.is_valid()


def _form_page(
    request: HttpRequest, draft: Draft, form: MetricForm, around: Surroundings, *, index: int | None
) -> HttpResponse:
    refused = form.is_bound and bool(form.errors)
    card = shown_card(card_of(form.metric, around))
    extra = {"form": form, "card": card, "index": index, "cost": _cost_of(form), "where": f"metrics[{index}]"}
    context = wizard_context(request, draft, "metrics", **extra)
    part = is_htmx(request) and request.method == "POST"
    return render(request, _FORM_PART if part else _FORM, context, status=422 if refused else 200)


def _cost_of(form: MetricForm) -> str:
    """Of one metric on a thousand items; nothing where what is filled in cannot be counted yet."""
    use = form.told()
    cost = use_cost(use, items=1000) if use else None
    return cost_text(cost) if cost is not None or not asks_something(form.metric) else ""
