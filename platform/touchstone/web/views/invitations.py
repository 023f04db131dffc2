"""Invitations: organisers make and revoke them, whoever was invited accepts one."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from touchstone.competitions.invitations import (
    DAYS,
    invitation_accept,
    invitation_create,
    invitation_find,
    invitation_mail,
    invitation_revoke,
    invitations_open,
)
from touchstone.competitions.models import Competition, Invitation
from touchstone.core.errors import UserError
from touchstone.core.rates import INVITATIONS, rate_take
from touchstone.web.forms import InvitationForm, JoinForm, add_problem
from touchstone.web.views.manage.frame import manage_context, manage_frame
from touchstone.web.views.support import page

_Role = Invitation.Role


@never_cache
@login_required
@page
@require_http_methods(["GET", "HEAD", "POST"])
def invitations(request: HttpRequest, slug: str) -> HttpResponse:
    """Who is invited. A new link is in this one answer and nowhere else."""
    shown = manage_frame(request, slug)
    form = InvitationForm(request.POST if request.method == "POST" else None)
    extra: dict[str, object] = {}
    if request.method == "POST" and form.is_valid():
        try:
            invitation_rate(request, form.cleaned_data["email"])
            made, secret = invitation_create(competition=shown.competition, by=request.user, **form.cleaned_data)
        except UserError as error:
            add_problem(form, error)
        else:
            link = invitation_link(request, secret)
            extra = {"link": link, "mailed": invitation_send(request, made, link), "made": made}
            form = InvitationForm()
    context = manage_context(
        shown, "invitations", form=form, days=DAYS, mail=bool(settings.TOUCHSTONE_EMAIL_URL),
        waiting=list(invitations_open(competition=shown.competition, by=request.user)[:200]), **extra,
    )  # fmt: skip
    return render(request, "web/organise/invitations.html", context, status=422 if form.is_bound else 200)


def invitation_link(request: HttpRequest, secret: str) -> str:
    """The whole address of a link, as it is sent to somebody."""
    return request.build_absolute_uri(reverse("web:invitation", args=[secret]))


def invitation_rate(request: HttpRequest, email: str) -> None:
    """Count an invitation by e-mail, before it is made: strangers get them. Raises `TooOften`."""
    if email:
        rate_take(rate=INVITATIONS, subjects={"name": request.user.get_username()})


def invitation_send(request: HttpRequest, made: Invitation, link: str) -> bool:
    """Whether it went out by e-mail; a mail server that fails leaves the link, which is shown."""
    try:
        return invitation_mail(invitation=made, link=link)
    except OSError:
        messages.warning(request, _("The e-mail could not be sent. Send the link yourself."))
        return False


@login_required
@page
@require_http_methods(["POST"])
def revoke(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Make a link useless."""
    competition: Competition = manage_frame(request, slug).competition
    found = invitations_open(competition=competition, by=request.user).filter(pk=pk).first()
    if found is None:
        raise Http404
    invitation_revoke(invitation=found, by=request.user)
    messages.success(request, _("The invitation is revoked: its link no longer works."))
    return redirect("web:manage-invitations", slug)


@never_cache
@login_required
@page
@require_http_methods(["GET", "HEAD", "POST"])
def accept(request: HttpRequest, secret: str) -> HttpResponse:
    """What one is invited to, its terms, and the button that accepts."""
    found = invitation_find(secret=secret)
    needs_terms = found.role != _Role.ORGANISER and bool(found.competition.terms)
    form = JoinForm(
        request.POST if request.method == "POST" else None, initial={"display_name": request.user.get_username()}
    )
    if found.role != _Role.PARTICIPANT:
        del form.fields["display_name"]
    if not needs_terms:
        del form.fields["accept_terms"]
    if request.method == "POST" and form.is_valid():
        try:
            invitation_accept(secret=secret, user=request.user, **form.cleaned_data)
        except UserError as error:
            add_problem(form, error)
        else:
            messages.success(request, _welcome(found))
            # Of what is not opened yet, participants see nothing.
            seen = found.role == _Role.ORGANISER or found.competition.opened_at is not None
            return redirect("web:competition", found.competition.slug) if seen else redirect("web:home")
    context = {"nav": "competitions", "invitation": found, "form": form, "needs_terms": needs_terms}
    return render(request, "web/invitation.html", context, status=422 if form.is_bound else 200)


def _welcome(invitation: Invitation) -> str:
    names = {"title": invitation.competition.title}
    if invitation.role == _Role.ORGANISER:
        return _("You organise %(title)s now.") % names
    if invitation.competition.opened_at is None:
        return _("You take part in %(title)s. You will see it when its organisers open it.") % names
    return _("You take part in %(title)s now.") % names
