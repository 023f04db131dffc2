"""Trusted publishing: which jobs of CI services submit for oneself, adding one, and ending it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from touchstone.accounts.claims import Issuer, issuers
from touchstone.accounts.models import TrustedPublisher
from touchstone.accounts.trusts import competitions_trusted, trust_create, trust_get, trust_remove, trusts_of
from touchstone.core.errors import UserError
from touchstone.web.access_forms import TrustForm
from touchstone.web.forms import add_problem
from touchstone.web.views.support import page


@never_cache
@login_required
@page
@require_http_methods(["GET", "HEAD", "POST"])
def trusts(request: HttpRequest) -> HttpResponse:
    """The list, and a form for the service that was chosen."""
    known = list(issuers().values())
    chosen = _chosen(known, request.POST.get("issuer") or request.GET.get("issuer") or "")
    offered = list(competitions_trusted(user=request.user))
    form = None
    if chosen is not None:
        form = TrustForm(request.POST or None, competitions=offered, kind=chosen.kind, initial=_initial(chosen))
        if request.method == "POST" and form.is_valid():
            try:
                made = trust_create(user=request.user, issuer=chosen.issuer, **form.cleaned_data)
            except UserError as error:
                add_problem(form, error)
            else:
                names = {"repository": made.repository, "competition": made.competition.title}
                messages.success(request, _("Jobs of %(repository)s can submit to %(competition)s now.") % names)
                return redirect("web:trusts")
    context = {
        "nav": "account", "rows": _rows(trusts_of(user=request.user)), "issuers": known, "chosen": chosen, "form": form,
        "offered": offered, "audience": settings.TOUCHSTONE_BASE_URL,
    }  # fmt: skip
    status = 422 if form is not None and form.is_bound else 200
    return render(request, "web/account/trusts.html", context, status=status)


def _chosen(known: list[Issuer], name: str) -> Issuer | None:
    return next((issuer for issuer in known if issuer.issuer == name), known[0] if known else None)


def _initial(issuer: Issuer) -> dict[str, str]:
    return {"workflow": {"github": ".github/workflows/submit.yml", "gitlab": ".gitlab-ci.yml"}.get(issuer.kind, "")}


def _rows(found: Iterable[TrustedPublisher]) -> list[tuple[TrustedPublisher, str]]:
    """With the name of its service; of one that is registered no more, what it was."""
    names = {issuer.issuer: issuer.name for issuer in issuers().values()}
    return [(trust, names.get(trust.issuer, trust.issuer)) for trust in found]


@login_required
@page
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ask, then end it. Trusts of others do not exist here."""
    trust = trust_get(user=request.user, id=pk)
    if request.method == "POST":
        trust_remove(trust=trust)
        messages.success(request, _("Jobs of %(name)s are trusted no longer.") % {"name": trust.repository})
        return redirect("web:trusts")
    return render(request, "web/account/trust_remove.html", {"nav": "account", "trust": trust})
