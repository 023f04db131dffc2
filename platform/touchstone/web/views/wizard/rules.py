"""Rules and quotas: what may be sent, what one run may use, and whether people take part in teams."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from runners.spec import Defect
from touchstone.drafts.models import Draft
from touchstone.drafts.selectors import draft_bodies
from touchstone.web.forms import KINDS
from touchstone.web.views.wizard.fields import Input, errors_at, number, posted, rows_of, table_of
from touchstone.web.views.wizard.frame import step_view, wizard_context, wizard_save


@step_view
def rules(request: HttpRequest, draft: Draft) -> HttpResponse:
    if request.method == "POST":
        return wizard_save(request, draft, "rules", _body(request.POST))
    bodies = draft_bodies(draft=draft)
    body = bodies["rules"]
    context = wizard_context(request, draft, "rules")
    defects = context["defects"]
    submission = body["submission"] if isinstance(body.get("submission"), dict) else {}
    context |= {
        "kinds": Input(
            "submission.kinds", _("What may be submitted"), submission.get("kinds", []), kind="checks",
            choices=[(key, f"{kind.title}: {kind.help}") for key, kind in KINDS.items()],
            errors=errors_at(defects, "submission.kinds"),
        ),
        "limits": _limits(submission, defects),
        "budgets": _budgets(submission, defects),
        "root_images": Input(
            "submission.root_images", _("Images may name root as their user"), submission.get("root_images", True),
            kind="check", help=_("No image ever runs as root. Switched off, images that ask for it are refused."),
        ),
        "members": Input(
            "teams.members", _("Most people of one participant"), (body.get("teams") or {}).get("members", 1),
            kind="number", help=_("1: everybody takes part alone. A team is one participant, with one quota."),
            errors=errors_at(defects, "teams"),
        ),
        "phases": rows_of(bodies["phases"].get("phases")),
    }  # fmt: skip
    return render(request, "web/organise/wizard/rules.html", context)


def _body(post: Any) -> dict[str, Any]:
    given = table_of(posted(post, "submission"))
    submission: dict[str, Any] = {"kinds": [kind for kind in KINDS if kind in post.getlist("submission.kinds")]}
    if str(given.get("size", "")).strip():
        submission["size"] = _amount(str(given["size"]))
    limits = table_of(given.get("resources"))
    budgets = table_of(given.get("endpoint"))
    endpoint = {key: _amount(str(value)) for key, value in budgets.items() if str(value).strip()}
    if endpoint:
        submission["endpoint"] = endpoint
    resources = {key: _amount(str(value)) for key, value in limits.items() if str(value).strip()}
    if resources:
        submission["resources"] = resources
    if post.get("submission.root_images") != "on":
        submission["root_images"] = False
    members = number(str(post.get("teams.members", "")))
    return {"submission": submission, "teams": {"members": 1 if members is None else members}}


def _amount(text: str) -> int | float | str:
    """A bare number is one; `4 GiB` loses its space, as the format has it."""
    found = number(text)
    return found if isinstance(found, int | float) else str(text).replace(" ", "")


def _limits(submission: dict[str, Any], defects: list[Defect]) -> list[Input]:
    given = submission.get("resources") if isinstance(submission.get("resources"), dict) else {}

    def made(key: str, label: str, help_text: str) -> Input:
        place = f"submission.resources.{key}"
        found = errors_at(defects, place)
        return Input(place, label, given.get(key), help=help_text, optional=True, errors=found)

    size = Input(
        "submission.size", _("Largest file sent"), submission.get("size"), optional=True,
        help=_("For example 512MiB. 2GiB if empty."), errors=errors_at(defects, "submission.size"),
    )  # fmt: skip
    return [
        size,
        made("time", _("Wall clock of a run"), _("For example 15m or 2h. 10m if empty.")),
        made("start", _("Until it is ready"), _("From start to its first answer. 60s if empty.")),
        made("cpus", _("CPU cores"), _("1 if empty.")),
        made("memory", _("Memory"), _("1GiB if empty.")),
        made("gpus", _("GPUs"), _("None if empty. Needs a node that has one.")),
        made("disk", _("Temporary files"), _("256MiB if empty.")),
        made("image", _("Largest image, unpacked"), _("8GiB if empty.")),
        made("log", _("Log kept"), _("1MiB if empty.")),
    ]


def _budgets(submission: dict[str, Any], defects: list[Defect]) -> list[Input]:
    given = submission.get("endpoint") if isinstance(submission.get("endpoint"), dict) else {}

    def made(key: str, label: str, help_text: str) -> Input:
        place = f"submission.endpoint.{key}"
        found = errors_at(defects, place)
        return Input(place, label, given.get(key), help=help_text, optional=True, errors=found)

    return [
        made("queries", _("Items asked in a run"), _("Those asked again count too. 100000 if empty.")),
        made("queries_per_item", _("Items asked for each item"), _("Of the splits, at most. 200 if empty.")),
        made("items", _("Items in one request"), _("64 if empty; at most 256.")),
        made("rate", _("Requests a second"), _("20 if empty.")),
        made("timeout", _("Time of one request"), _("For example 5s. 10s if empty.")),
        made("retries", _("Tries again"), _("How often a request that failed is sent again. 4 if empty.")),
        made("time", _("Time of a whole run"), _("That of every run, if empty.")),
    ]
