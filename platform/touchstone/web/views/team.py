"""One's participation: the name on the board, and the people of the team."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from touchstone.competitions import teams
from touchstone.competitions.invitations import invitation_revoke
from touchstone.competitions.models import Member, Participation
from touchstone.core.errors import NotFound, UserError
from touchstone.web.forms import BoardNameForm, TeammateForm, add_problem
from touchstone.web.views.frame import Frame, context, frame
from touchstone.web.views.invitations import invitation_link, invitation_rate, invitation_send
from touchstone.web.views.support import page


@dataclass(frozen=True)
class TeamAct:
    """Something that changes who is in a team: its button, and what it means."""

    title: str | Promise
    button: str | Promise
    means: str | Promise
    done: str | Promise


_KEPT = gettext_lazy(
    "What was submitted stays with the team, with its results. Who leaves a team that has submitted can take part in "
    "this competition again only with the same team."
)
ACTS = {
    "leave": TeamAct(
        gettext_lazy("Leave the team?"), gettext_lazy("Leave the team"), _KEPT, gettext_lazy("You have left the team.")
    ),
    "remove": TeamAct(
        gettext_lazy("Remove this member?"), gettext_lazy("Remove"), _KEPT,
        gettext_lazy("They are no longer a member.")
    ),
    "hand-over": TeamAct(
        gettext_lazy("Hand the team over?"), gettext_lazy("Hand over"),
        gettext_lazy("They will invite, remove and rename instead of you. You stay a member; only they can undo it."),
        gettext_lazy("The team is handed over."),
    ),
}  # fmt: skip


@login_required
@never_cache
@page
@require_http_methods(["GET", "HEAD", "POST"])
def team(request: HttpRequest, slug: str) -> HttpResponse:
    """The page; a POST with `act` renames or invites. The link of an invitation is shown once."""
    shown, mine = _mine(request, slug)
    act = request.POST.get("act", "") if request.method == "POST" else ""
    name = BoardNameForm(request.POST if act == "rename" else None, initial={"display_name": mine.display_name})
    mate = TeammateForm(request.POST if act == "invite" else None)
    link = ""
    if act == "rename" and name.is_valid() and _rename(request, mine, name):
        messages.success(request, _("The name on the leaderboard is changed."))
        return redirect("web:team", slug)
    if act == "invite" and mate.is_valid():
        link = _invite(request, mine, mate)
    refused = (name.is_bound and bool(name.errors)) or (mate.is_bound and bool(mate.errors))
    return render(
        request, "web/competition/team.html", _context(request, shown, mine, name, mate, link),
        status=422 if refused else 200,
    )  # fmt: skip


def _mine(request: HttpRequest, slug: str) -> tuple[Frame, Participation]:
    shown = frame(request, slug)
    if shown.participation is None:
        raise NotFound(_("You do not take part in this competition."), _("Join it first."))
    return shown, shown.participation


def _context(
    request: HttpRequest, shown: Frame, mine: Participation, name: BoardNameForm, mate: TeammateForm, link: str
) -> dict[str, object]:
    members = list(Member.objects.filter(participation=mine).select_related("user"))
    limit = teams.team_limit(competition=shown.competition)
    invited = teams.invitations_open(participation=mine)
    changes = teams.team_changes(competition=shown.competition)
    return context(
        shown, "team", mine=mine, members=members, head=mine.user_id == request.user.pk, limit=limit,
        invitations=invited, changes=changes, room=max(0, limit - len(members) - len(invited)) if changes else 0,
        name_form=name, mate_form=mate, link=link,
    )  # fmt: skip


def _rename(request: HttpRequest, mine: Participation, form: BoardNameForm) -> bool:
    try:
        teams.participation_rename(participation=mine, by=request.user, **form.cleaned_data)
    except UserError as error:
        add_problem(form, error)
        return False
    return True


def _invite(request: HttpRequest, mine: Participation, form: TeammateForm) -> str:
    """The link; empty after putting the refusal into the form."""
    try:
        invitation_rate(request, form.cleaned_data["email"])
        invitation, secret = teams.team_invite(participation=mine, by=request.user, **form.cleaned_data)
    except UserError as error:
        add_problem(form, error)
        return ""
    link = invitation_link(request, secret)
    if invitation_send(request, invitation, link):
        messages.success(request, _("The invitation is on its way to %s.") % invitation.email)
    return link


@login_required
@page
@require_POST
def revoke(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Take an invitation back."""
    _shown, mine = _mine(request, slug)
    found = next((each for each in teams.invitations_open(participation=mine) if each.pk == pk), None)
    if found is None:
        raise NotFound(_("There is no such open invitation."), _("Somebody may have accepted it: see the members."))
    invitation_revoke(invitation=found, by=request.user)
    messages.success(request, _("The invitation is taken back; its link no longer works."))
    return redirect("web:team", slug)


@login_required
@never_cache
@page
@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, slug: str, act: str, member: int) -> HttpResponse:
    """Ask, and then do it: leave, remove or hand over."""
    shown, mine = _mine(request, slug)
    found = Member.objects.filter(participation=mine, user_id=member).select_related("user").first()
    allowed = member == request.user.pk if act == "leave" else mine.user_id == request.user.pk != member
    if act not in ACTS or found is None or not allowed:
        raise NotFound(_("There is nothing like this to do here."), _("Go back to the page of your team."))
    if request.method != "POST":
        others = Member.objects.filter(participation=mine).exclude(user_id=member)
        heir = others.select_related("user").first() if act == "leave" and mine.user_id == member else None
        asked = context(shown, "team", act=ACTS[act], member=found, own=act == "leave", heir=heir)
        return render(request, "web/competition/team_act.html", asked)
    if act == "leave":
        teams.team_leave(participation=mine, user=request.user)
        messages.success(request, ACTS[act].done)
        return redirect("web:competition", slug)
    if act == "remove":
        teams.team_remove(participation=mine, member=found.user, by=request.user)
    else:
        teams.team_hand_over(participation=mine, to=found.user, by=request.user)
    messages.success(request, ACTS[act].done)
    return redirect("web:team", slug)
