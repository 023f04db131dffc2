"""The fairness guide: three questions, and the metrics that follow from their answers."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render

from touchstone.drafts.fairness_guide import QUESTIONS, Guidance, guidance, words_of
from touchstone.drafts.metric_cards import surroundings_of
from touchstone.drafts.metric_lists import added, entries
from touchstone.drafts.models import Draft
from touchstone.drafts.selectors import draft_bodies
from touchstone.web.views.wizard.frame import step_view, wizard_context, wizard_save

_PAGE = "web/organise/wizard/fairness.html"


@step_view
def fairness(request: HttpRequest, draft: Draft) -> HttpResponse:
    """Questions, and below them what follows; posting adds what is proposed and was left ticked."""
    bodies = draft_bodies(draft=draft)
    uses = entries(bodies["metrics"])
    given = request.POST if request.method == "POST" else request.GET
    attributes = bodies["task"].get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    found = _guidance(given, draft, bodies, attributes, uses)
    if request.method == "POST" and found is not None:
        wanted = set(request.POST.getlist("add"))
        for proposal in found.proposals:
            uses = added(uses, proposal.use) if proposal.key in wanted else uses
        return wizard_save(request, draft, "metrics", {**bodies["metrics"], "metrics": uses})
    extra = {"questions": _shown(given, bodies, attributes), "found": found, **_chosen(given, attributes)}
    return render(request, _PAGE, wizard_context(request, draft, "metrics", **extra))


def _chosen(given: QueryDict, attributes: dict[str, Any]) -> dict[str, Any]:
    names = [name for name in given.getlist("attribute") if name in attributes]
    return {
        "attributes": list(attributes), "attribute": names or list(attributes)[:1],
        "harm": given.getlist("harm"), "labels": given.get("labels", ""), "rule": given.get("rule", ""),
    }  # fmt: skip


def _guidance(
    given: QueryDict, draft: Draft, bodies: dict[str, Any], attributes: dict[str, Any], uses: list[Any]
) -> Guidance | None:
    """None before the questions are answered."""
    chosen = _chosen(given, attributes)
    if not (chosen["harm"] or chosen["labels"] or chosen["rule"]):
        return None
    names = chosen["attribute"]
    task = bodies["task"].get("task")
    words = {name: words_of(task if isinstance(task, dict) else {}, attributes, name) for name in names}
    return guidance(
        harm=chosen["harm"], labels=chosen["labels"], rule=chosen["rule"], attributes=names,
        around=surroundings_of(bodies, ()), uses=uses, words=words,
    )  # fmt: skip


def _shown(given: QueryDict, bodies: dict[str, Any], attributes: dict[str, Any]) -> list[dict[str, Any]]:
    """The questions with examples in the competition's own words, and what is ticked."""
    task = bodies["task"].get("task")
    words = words_of(task if isinstance(task, dict) else {}, attributes)
    return [
        {
            "question": question,
            "answers": [
                {
                    "answer": answer,
                    "example": words.put(answer.example) if answer.example else "",
                    "on": answer.key in given.getlist(question.key),
                }
                for answer in question.answers
            ],
        }
        for question in QUESTIONS
    ]
