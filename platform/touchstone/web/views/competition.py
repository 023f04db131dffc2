"""Pages that describe a competition, and joining it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from touchstone.competitions.access import domains_asked, needs_approval
from touchstone.competitions.models import Participation
from touchstone.competitions.selectors import page_get
from touchstone.competitions.services import participation_join
from touchstone.competitions.teams import team_limit
from touchstone.core.errors import UserError
from touchstone.web import present
from touchstone.web.endpoint_facts import endpoint_budget
from touchstone.web.forms import KINDS, JoinForm, add_problem
from touchstone.web.metrics import metric_groups
from touchstone.web.news import news
from touchstone.web.standing import standing_of
from touchstone.web.views.frame import context, frame, submit_command
from touchstone.web.views.support import page as error_page


@error_page
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    shown = frame(request, slug)
    spec = shown.competition.spec
    extra = {
        "metrics": metric_groups(spec),
        "concepts": spec.get("concepts", []),
        "kinds": [KINDS[kind] for kind in spec["submission"]["kinds"]],
        "command": submit_command(shown),
        **news(shown, request.user),
        "standing": standing_of(shown, request.user),
    }
    return render(request, "web/competition/overview.html", context(shown, "overview", **extra))


@error_page
def phases(request: HttpRequest, slug: str) -> HttpResponse:
    return render(request, "web/competition/phases.html", context(frame(request, slug), "phases"))


@error_page
def rules(request: HttpRequest, slug: str) -> HttpResponse:
    shown = frame(request, slug)
    extra = {"resources": resources_of(shown.competition.spec["submission"])}
    return render(request, "web/competition/rules.html", context(shown, "rules", **extra))


def resources_of(submission: dict[str, Any]) -> list[tuple[str, str]]:
    """What a run gets, as it is read."""
    given = submission.get("resources", {})
    rows = [
        (_("Kinds"), ", ".join(str(KINDS[kind].title).lower() for kind in submission["kinds"])),
        *endpoint_budget(submission),
        (_("Artifact"), _("up to %s") % present.size(submission.get("size"))),
        (_("Wall clock"), present.duration(given.get("time"))),
        (_("Until ready"), present.duration(given.get("start"))),
        (_("CPU cores"), f"{given.get('cpus', 1):g}"),
        (_("Memory"), present.size(given.get("memory"))),
        (_("Temporary files"), present.size(given.get("disk"))),
        (_("Image, unpacked"), present.size(given.get("image"))),
        (_("Log kept"), present.size(given.get("log"))),
    ]
    if given.get("gpus"):
        rows.insert(5, (_("GPUs"), str(given["gpus"])))
    return rows


@error_page
def page(request: HttpRequest, slug: str, page: str) -> HttpResponse:
    """A page that the organiser wrote."""
    shown = frame(request, slug)
    found = page_get(competition=shown.competition, slug=page)
    return render(request, "web/competition/page.html", context(shown, f"p-{page}", page=found))


@error_page
@require_http_methods(["GET", "HEAD", "POST"])
def join(request: HttpRequest, slug: str) -> HttpResponse:
    """The terms, and the form that accepts them. One joins once."""
    shown = frame(request, slug)
    if shown.joined is not None:
        messages.info(request, _("You have joined already."))
        return redirect("web:submit", slug)
    if request.method == "POST" and not request.user.is_authenticated:
        return redirect(f"{reverse('account_login')}?next={request.path}")
    form = JoinForm(request.POST or None, initial={"display_name": request.user.get_username()})
    if request.method == "POST" and form.is_valid():
        try:
            made = participation_join(competition=shown.competition, user=request.user, **form.cleaned_data)
        except UserError as error:
            add_problem(form, error)
        else:
            if made.status == Participation.Status.PENDING:
                messages.success(request, _("You have asked to take part. The organisers decide; this page says when."))
                return redirect("web:competition", slug)
            messages.success(request, _("You have joined. Here you can submit."))
            return redirect("web:submit", slug)
    status = 422 if form.is_bound else 200
    extra = {
        "form": form,
        "approval": needs_approval(competition=shown.competition),
        "domains": domains_asked(competition=shown.competition),
        "resources": resources_of(shown.competition.spec["submission"]),
        "team_limit": team_limit(competition=shown.competition),
    }
    return render(request, "web/competition/join.html", context(shown, "join", **extra), status=status)
