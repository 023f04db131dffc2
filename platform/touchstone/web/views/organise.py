"""An organiser's upload of a competition bundle."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from touchstone.competitions.services import BundleError, competition_import
from touchstone.core.errors import UserError
from touchstone.web.forms import BundleForm, add_problem
from touchstone.web.views.support import form_answer, go_to
from touchstone.web.views.wizard.start import new_context

_WHOLE, _PART = "web/organise/new.html", "web/organise/_bundle_form.html"


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def competition_new(request: HttpRequest) -> HttpResponse:
    """Import a bundle, or list every defect it has."""
    if request.method != "POST":
        return render(request, _WHOLE, new_context(request))
    defects: list[object] = []
    form = BundleForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            outcome = competition_import(user=request.user, archive=form.cleaned_data["bundle"].file)
        except BundleError as error:
            defects = list(error.defects)
            if not defects:
                add_problem(form, error)
        except UserError as error:
            add_problem(form, error)
        else:
            messages.success(request, _outcome(outcome.created, outcome.changed) % {"title": outcome.competition.title})
            return go_to(request, reverse("web:competition", args=[outcome.competition.slug]))
    context = new_context(request, form=form, defects=defects)
    return form_answer(request, whole=_WHOLE, part=_PART, context=context)


def _outcome(created: bool, changed: bool) -> str:
    if created:
        return _("%(title)s is created.")
    return _("%(title)s is updated.") if changed else _("%(title)s is as in this bundle already: nothing changed.")
