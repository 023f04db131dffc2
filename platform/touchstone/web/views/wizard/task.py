"""Task and attributes: what is predicted, from what, and between whom it must be fair."""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from touchstone.core.errors import UserError
from touchstone.drafts.inspections import split_found
from touchstone.drafts.models import Draft
from touchstone.drafts.proposals import task_proposal
from touchstone.drafts.selectors import section_get
from touchstone.web.task_form import attribute_rows, task_body, task_inputs
from touchstone.web.views.wizard.frame import step_view, wizard_context, wizard_save

_ATTRIBUTE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@step_view
def task(request: HttpRequest, draft: Draft) -> HttpResponse:
    section, splits = section_get(draft=draft, name="task"), split_found(draft=draft)
    proposal = task_proposal(splits)
    problem: UserError | None = None
    body, proposed = section.body, False
    if request.method == "POST":
        body = task_body(request.POST, section.body)
        if request.POST.get("use") == "found":
            body = _with_found(body, proposal)
        problem = _new_attribute(request, body)
        if problem is None:
            return wizard_save(request, draft, "task", body)
    elif not section.version and proposal["task"]["classes"]:
        body, proposed = {**section.body, **proposal}, True
    context = wizard_context(request, draft, "task")
    context |= {
        "inputs": task_inputs(body, context["defects"], proposal),
        "attributes": attribute_rows(body, context["defects"], splits),
        "proposed": proposed,
        "found": bool(proposal["task"]["classes"] or proposal["input"] or proposal["attributes"]),
        "new_attribute": request.POST.get("new_attribute", ""),
        "problem": problem,
    }
    return render(request, "web/organise/wizard/task.html", context, status=422 if problem else 200)


def _with_found(body: dict[str, Any], proposal: dict[str, Any]) -> dict[str, Any]:
    """The body with what the data say: classes, input and clusters replaced, attributes added that are not there."""
    made = dict(body)
    if proposal["task"]["classes"]:
        kept = {key: value for key, value in body["task"].items() if value in proposal["task"]["classes"]}
        made["task"] = {**body["task"], **kept, **proposal["task"]}
        if made["task"]["kind"] != "binary":
            made["task"].pop("positive", None)
    if proposal["input"]:
        made["input"] = {**(body.get("input") or {}), **proposal["input"]}
    made["aggregate"] = body.get("aggregate") or proposal["aggregate"]
    made["attributes"] = {**proposal["attributes"], **body.get("attributes", {})}
    return made


def _new_attribute(request: HttpRequest, body: dict[str, Any]) -> UserError | None:
    """Add the attribute that was typed by hand; what is wrong with its name, if anything is."""
    name = request.POST.get("new_attribute", "").strip()
    if not name:
        return None
    if not _ATTRIBUTE.fullmatch(name):
        text = _("An attribute is named as its column: letters, digits and _, beginning with a letter.")
        return UserError(_("%(name)s cannot be the name of an attribute.") % {"name": name[:80]}, text)
    body["attributes"].setdefault(name, {"privileged": "", "protected": True, "minimum": 30})
    return None
