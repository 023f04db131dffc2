"""Taking one's data along, and leaving."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import orjson
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from touchstone.accounts.models import ApiToken, DeviceGrant, TrustedPublisher, User
from touchstone.audit.services import audit_append
from touchstone.competitions.invitations import invitations_end
from touchstone.competitions.models import Competition, Invitation, Member, Participation
from touchstone.competitions.selectors import is_member, participations_of
from touchstone.core.clock import now
from touchstone.core.errors import Conflict
from touchstone.core.storage import blob_open
from touchstone.evaluations.models import Result, Run, RunStatus
from touchstone.evaluations.services import run_cancel
from touchstone.evaluations.visibility import results_blunted, results_hidden
from touchstone.hooks.models import Webhook
from touchstone.hooks.services import webhooks_forget
from touchstone.leaderboards.services import boards_touch
from touchstone.submissions.endpoints import credentials_forget, credentials_of
from touchstone.submissions.models import Submission, Upload
from touchstone.transfers.models import MatrixEntry

#: An export up to this size is made in memory.
_IN_MEMORY = 2**20
_TOKEN = (
    "name", "scopes", "origin", "provenance", "created_at", "expires_at", "last_used_at", "revoked_at",
)  # fmt: skip
_TRUST = (
    "issuer", "repository", "repository_id", "owner_id", "workflow", "environment", "ref", "created_at", "last_used_at",
)  # fmt: skip
_ENDED = (RunStatus.SCORED, RunStatus.REJECTED, RunStatus.FAILED, RunStatus.CANCELLED)


@dataclass(frozen=True)
class Ties:
    """What holds a person here: competitions that they own, and submissions that stay."""

    owned: list[Competition]
    submissions: int


def account_ties(*, user: User) -> Ties:
    """What has to be said before somebody leaves."""
    return Ties(owned=list(Competition.objects.filter(owner=user)), submissions=_submissions(user).count())


def export_archive(*, user: User) -> IO[bytes]:
    """A zip of what the site holds about a person: account.json, submissions.json and the files sent. At its start."""
    out: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - the response closes it
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("account.json", _json(_account(user)))
        submissions = list(
            _submissions(user).select_related("phase__competition", "phase__split", "run", "participation")
        )
        archive.writestr("submissions.json", _json([_submission(each, user) for each in submissions]))
        for each in submissions:
            for file in each.files:
                _add(archive, f"submissions/{each.pk}/{file['name']}", file["sha256"])
    out.seek(0)
    return out


def _add(archive: zipfile.ZipFile, name: str, sha256: str) -> None:
    with blob_open(sha256=sha256) as source, archive.open(name, "w", force_zip64=True) as target:
        shutil.copyfileobj(source, target, 2**20)


def account_delete(*, user: User) -> None:
    """Forget who somebody was. What they sent stays, without their name; a team goes on without them.

    The row stays: the record of acts refers to it. Raises `Conflict` where they own competitions.
    """
    if Competition.objects.filter(owner=user).exists():
        raise Conflict(
            _("You own competitions, and each needs an owner."),
            _("Ask who runs this site to give them to somebody else."),
        )
    with transaction.atomic():
        # In the order in which reports of nodes and submissions take them; the lock of the audit comes last.
        alone = [row.pk for row in participations_of(user=user) if not _others(row, user).exists()]
        own = Run.objects.filter(submission__participation__in=alone, rerun=None).exclude(status__in=_ENDED)
        own = own.select_related("submission__participation", "submission__phase__competition")
        runs = list(own.select_for_update(of=("self",)).order_by("pk"))
        everything = Participation.objects.filter(Q(user=user) | Q(pk__in=participations_of(user=user)))
        locked = list(everything.select_for_update(no_key=True).order_by("pk"))
        participations = [row for row in locked if not _hand_on(row, user)]
        user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        _end_access(user)
        user.organised_competitions.clear()
        invitations_end(rows=Invitation.objects.filter(invited_by=user), by=user)
        webhooks_forget(user=user)
        credentials_forget(user=user)
        Upload.objects.filter(user=user, completed_at=None).update(expires_at=now())
        for participation in participations:
            _rename(participation)
        _forget(user)
        boards_touch(participations=participations)
        for run in runs:
            run_cancel(run=run, user=user)
        audit_append(actor=user, act="user.delete", subject=f"user:{user.pk}")


def _others(participation: Participation, user: User) -> QuerySet[Member]:
    return Member.objects.filter(participation=participation).exclude(user=user)


def _hand_on(participation: Participation, user: User) -> bool:
    """Leave a team to its other members, the one who joined first at its head. False: there is nobody else."""
    heir = _others(participation, user).first()
    if heir is None:
        return False
    if participation.user_id == user.pk:
        participation.user_id = heir.user_id
        participation.save(update_fields=["user"])
    Member.everyone.filter(participation=participation, user=user).delete()
    return True


def _rename(participation: Participation) -> None:
    """Take the name off whatever shows it; matrices keep a copy."""
    name = f"deleted participant {participation.pk}"
    others = Participation.objects.filter(competition=participation.competition_id).exclude(pk=participation.pk)
    if others.filter(display_name__iexact=name).exists():  # anybody may call themselves that
        name = f"{name} {secrets.token_hex(4)}"
    participation.display_name = name
    participation.save(update_fields=["display_name"])
    MatrixEntry.objects.filter(submission__participation=participation).update(name=name)


def _end_access(user: User) -> None:
    ApiToken.objects.filter(user=user).delete()
    TrustedPublisher.objects.filter(user=user).delete()
    DeviceGrant.objects.filter(user=user).delete()
    # By name: the interface is above this app, and what it answered holds what was theirs.
    apps.get_model("api", "IdempotentAnswer").objects.filter(user=user).delete()
    Authenticator.objects.filter(user=user).delete()
    SocialAccount.objects.filter(user=user).delete()
    keys = list(UserSession.objects.filter(user=user).values_list("session_key", flat=True))
    Session.objects.filter(session_key__in=keys).delete()
    UserSession.objects.filter(user=user).delete()
    EmailAddress.objects.filter(user=user).delete()


def _forget(user: User) -> None:
    user.username = f"deleted {user.pk}"  # nobody can have taken it: names have no spaces
    user.email = f"deleted-{user.pk}@invalid"
    user.first_name = user.last_name = ""
    user.is_active = user.is_staff = user.is_superuser = False
    user.last_login = None
    user.set_unusable_password()
    user.save()


def _submissions(user: User) -> QuerySet[Submission]:
    """What they sent themselves: what others of their team sent is the others'."""
    return Submission.objects.filter(Q(sent_by=user) | Q(sent_by=None, participation__user=user))


def _account(user: User) -> dict[str, Any]:
    tokens = ApiToken.objects.filter(user=user)
    trusts = TrustedPublisher.objects.filter(user=user)
    return {
        "username": user.username,
        "email": user.email,
        "joined": user.date_joined,
        "last_login": user.last_login,
        "email_addresses": list(EmailAddress.objects.filter(user=user).values("email", "verified", "primary")),
        "accounts_elsewhere": list(SocialAccount.objects.filter(user=user).values("provider", "uid", "date_joined")),
        "second_factors": list(Authenticator.objects.filter(user=user).values("type", "created_at", "last_used_at")),
        "sessions": list(UserSession.objects.filter(user=user).values("ip", "user_agent", "created_at")),
        "tokens": list(tokens.values(*_TOKEN)),
        "trusted_publishers": list(trusts.values("competition__slug", *_TRUST)),
        "credentials": list(credentials_of(user=user).values("name", "header", "created_at", "last_used_at")),
        "webhooks": [
            {
                "url": row.url,
                "competition": row.competition and row.competition.slug,
                "events": row.events,
                "enabled": row.enabled,
                "created_at": row.created_at,
            }
            for row in Webhook.objects.filter(owner=user).select_related("competition")
        ],
        "participations": [
            {
                "competition": row.competition.slug,
                "display_name": row.participation.display_name,
                "joined_at": row.joined_at,
                "left_at": row.left_at,
            }
            for row in Member.everyone.filter(user=user).select_related("competition", "participation")
        ],
        "organises": list(user.organised_competitions.values_list("slug", flat=True)),
        "owns": list(Competition.objects.filter(owner=user).values_list("slug", flat=True)),
    }


def _submission(each: Submission, user: User) -> dict[str, Any]:
    """Results too, as far as they are shown to the person: those of a team to its members only."""
    run = each.run
    hidden = results_hidden(run=run, phase=each.phase)
    if not is_member(user=user, participation=each.participation):
        hidden = "You are not a member of the team any more."
    results = [] if hidden else results_blunted(results=Result.objects.filter(run=run), phase=each.phase)
    return {
        "id": each.pk, "competition": each.phase.competition.slug, "phase": each.phase.slug, "kind": each.kind,
        "name": each.name,
        "created_at": each.created_at, "message": each.message, "image": each.image, "files": each.files,
        "endpoint": each.endpoint,
        "status": run.status, "verdict": run.verdict, "run_message": run.message, "finished_at": run.finished_at,
        "withdrawn_at": each.withdrawn_at, "withdrawn_reason": each.withdrawn_reason,
        "results": _values(results),
        "results_hidden": hidden,
        "earlier_results": [] if hidden else [
            {"finished_at": run.finished_at, "competition_version": run.competition_version, "results": _values(shown)}
            for run, shown in _earlier(each)
        ],
    }  # fmt: skip


def _values(results: Iterable[Result]) -> list[dict[str, Any]]:
    keys = ("key", "value", "low", "high", "n", "unit", "state", "reason")
    return [{key: getattr(result, key) for key in keys} for result in results]


def _earlier(each: Submission) -> Iterator[tuple[Run, list[Result]]]:
    """What counted before the organisers had it evaluated again."""
    for run in each.runs.filter(status=RunStatus.SCORED).exclude(pk=each.run_id).order_by("finished_at"):
        yield run, results_blunted(results=run.results.all(), phase=each.phase)


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str)
