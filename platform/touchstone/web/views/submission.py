"""One submission: its state while it lives, and its result."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from touchstone.competitions.selectors import is_member, is_organiser
from touchstone.core.told import told
from touchstone.evaluations.following import Place
from touchstone.evaluations.models import RunEvent
from touchstone.evaluations.selectors import RunView, run_view
from touchstone.evaluations.services import run_cancel
from touchstone.submissions.models import Submission
from touchstone.submissions.own import Final, finals_of
from touchstone.submissions.selectors import submission_get
from touchstone.web import present
from touchstone.web.charts.results import pictures_of
from touchstone.web.earlier import beside
from touchstone.web.endpoint_facts import endpoint_rows
from touchstone.web.failures import log_end, verdict_help
from touchstone.web.forms import KINDS
from touchstone.web.scores import score_groups
from touchstone.web.views.support import page

#: Lines of the history that are shown; progress and log lines have places of their own.
_TIMELINE = frozenset({"status", "stage", "note"})
_MOST_PICTURES = 24
_STEPS = {"rejected": "bad", "failed": "bad", "cancelled": "done", "scored": "good"}


def _version(view: RunView) -> str:
    """Changes when the page would: a poll that brings nothing new is answered with 204 and moves nothing."""
    last = view.events[-1].sequence if view.events else 0
    state = (
        view.status,
        view.attempt,
        last,
        view.position,
        view.nodes_online,
        view.run.estimated_seconds,
        view.run.cancel_requested,
    )
    return hashlib.sha256(repr(state).encode()).hexdigest()[:16]


def _timeline(events: list[RunEvent]) -> list[dict[str, Any]]:
    shown = [event for event in events if event.kind in _TIMELINE]
    return [
        {
            "event": event,
            "text": present.stage(event.message) if event.kind == "stage" else told(event.message),
            "tone": _STEPS.get(str(event.data.get("to", "")), "done"),
        }
        for event in shown
    ]  # fmt: skip


def _stages(seconds: dict[str, float]) -> list[tuple[str, str]]:
    """Name and duration, in the order in which they began."""
    return [(present.stage(name), present.duration(spent)) for name, spent in seconds.items()]


def _context(request: HttpRequest, submission: Submission) -> dict[str, Any]:
    view = run_view(run=submission.run, user=request.user)
    place = view.logs.place(submission.run)
    competition = submission.phase.competition
    progress = next((event for event in reversed(view.events) if event.kind == "progress"), None)
    return {
        "nav": "competitions",
        "submission": submission,
        "run": submission.run,
        "view": view,
        "kind": KINDS[submission.kind],
        "competition": competition,
        "organiser": is_organiser(user=request.user, competition=competition),
        "groups": score_groups(view.results),
        "pictures": [chart for result in view.results for chart in pictures_of(result)][:_MOST_PICTURES],
        "log_end": log_end(view),
        "verdict_help": verdict_help(submission.run.verdict),
        "own": is_member(user=request.user, participation=submission.participation),
        "final": _final(submission),
        "timeline": _timeline(view.events),
        "progress": progress if view.status == "running" else None,
        "stages": _stages(submission.run.stages),
        "endpoint_rows": endpoint_rows(submission.run) if submission.endpoint else [],
        "tone": {"rejected": "error", "failed": "error", "cancelled": "calm", "scored": "ok"}.get(view.status, "calm"),
        "version": _version(view),
        "log_parts": _log_parts(view),
        "place": str(Place(view.events[-1].sequence if view.events else 0, place)),
        "logs_version": f"{view.attempt}.{place.epoch}.{place.sample}.{place.run}",
    }


def _final(submission: Submission) -> Final | None:
    """The phase that it may be chosen for now, or taken back from."""
    eligible = submission.run.status == "scored" and submission.withdrawn_at is None
    if not eligible and submission.chosen_at is None:
        return None
    finals = finals_of(competition=submission.phase.competition)
    return next((final for final in finals if final.of == submission.phase.slug and final.is_open), None)


def _log_parts(view: RunView) -> list[dict[str, Any]]:
    """The logs that this person may see, with what each of them is."""
    found = []
    if view.logs.sample:
        text = _("What it wrote while it loaded and answered the public sample.")
        found.append({"name": "sample", "title": _("Sample log"), "help": text, "text": view.sample_log})
    if view.logs.whole:
        text = _("What it wrote after that, about the data of the phase.")
        found.append({"name": "run", "title": _("Run log"), "help": text, "text": view.log})
    return found


@login_required
@never_cache
@page
def submission(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The page; while the run is not final it follows its stream, or asks `state` and `logs` every two seconds."""
    found = submission_get(user=request.user, id=pk)
    return render(
        request,
        "web/submission/detail.html",
        {**_context(request, found), **beside(submission=found, user=request.user)},
    )


@never_cache
@page
def state(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The part that changes. 204 where `?v=` is the present version."""
    context = _context(request, submission_get(user=request.user, id=pk))
    if request.GET.get("v") == context["version"]:
        return HttpResponse(status=204)
    return render(request, "web/submission/_state.html", {**context, "live": True})


@never_cache
@page
def logs(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The logs, for a page that cannot follow the stream. 204 where `?v=` is the place that it has."""
    context = _context(request, submission_get(user=request.user, id=pk))
    if request.GET.get("v") == context["logs_version"]:
        return HttpResponse(status=204)
    return render(request, "web/submission/_logs.html", context)


@login_required
@page
@require_POST
def cancel(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ask for the run to end."""
    found = submission_get(user=request.user, id=pk)
    ended_before = found.run.status in present.FINAL_STATES
    run = run_cancel(run=found.run, user=request.user)
    if ended_before:
        messages.info(request, _("The run had ended before."))
    elif run.status == "cancelled":
        messages.success(request, _("The run is cancelled."))
    else:
        messages.info(request, _("The run will stop within seconds."))
    return redirect("web:submission", pk)
