"""Trusted publishing: people say which jobs of CI services may submit for them. `minting` is what those jobs ask."""

from __future__ import annotations

import re
import uuid

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from touchstone.accounts.claims import issuers
from touchstone.accounts.models import ApiToken, TrustedPublisher, User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Competition, Member, Participation
from touchstone.competitions.selectors import competition_get, participation_need
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotFound, UserError
from touchstone.core.text import clean

#: Trusts of one person.
MOST = 50
_ID = re.compile(r"[0-9A-Za-z._:-]{1,64}")
_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)+")


def trust_create(
    *,
    user: User,
    competition: str,
    issuer: str,
    repository: str,
    repository_id: str,
    owner_id: str,
    workflow: str,
    environment: str = "",
    ref: str = "",
) -> TrustedPublisher:
    """Trust a repository's workflow to submit to one competition as `user`.

    Raises `UserError` with the faults of every field, `NotFound` for the competition, `NotAllowed` for who takes no
    part in it, and `Conflict` where there is the same trust already.
    """
    fields = {
        "repository": repository.strip(), "repository_id": repository_id.strip(), "owner_id": owner_id.strip(),
        "workflow": workflow.strip().lstrip("/"), "environment": environment.strip(), "ref": ref.strip(),
    }  # fmt: skip
    faults = _faults(issuer, fields)
    if faults:
        raise UserError(_("The trust was not added."), _("Correct the fields named."), fields=faults)
    found = competition_get(user=user, slug=competition)
    participation_need(user=user, competition=found)
    if TrustedPublisher.objects.filter(user=user).count() >= MOST:
        raise Conflict(
            _("You trust %(most)s jobs, the most allowed.") % {"most": MOST}, _("Remove one that you no longer need.")
        )
    try:
        with transaction.atomic():
            trust = TrustedPublisher.objects.create(user=user, competition=found, issuer=issuer, **fields)
            audit_append(actor=user, act="trust.create", subject=f"trust:{trust.pk}", data=_data(trust))
    except IntegrityError as error:
        raise Conflict(_("You trust this job already."), _("See the list of your trusts."), "trust_exists") from error
    return trust


def _faults(issuer: str, fields: dict[str, str]) -> dict[str, list[str]]:
    faults = {} if issuer in issuers() else {"issuer": [_("Choose one of those offered.")]}
    if not _NAME.fullmatch(fields["repository"]) or len(fields["repository"]) > 200:
        faults["repository"] = [_("Write owner/name, as in the address of the repository.")]
    for name in ("repository_id", "owner_id"):
        if not _ID.fullmatch(fields[name]):
            faults[name] = [_("The number that the service gave it, not its name.")]
    if not 0 < len(fields["workflow"]) <= 200:
        faults["workflow"] = [_("The path of the file in the repository, of at most 200 characters.")]
    faults |= {
        name: [_("At most %(most)s characters.") % {"most": most}]
        for name, most in (("environment", 100), ("ref", 200))
        if len(fields[name]) > most
    }
    for name, value in fields.items():
        if name not in faults and (clean(value) != value or not value.isprintable()):
            faults[name] = [_("Only letters, digits and signs that can be seen.")]
    return faults


def _data(trust: TrustedPublisher) -> dict[str, str]:
    names = ("issuer", "repository", "repository_id", "owner_id", "workflow", "environment", "ref")
    return {"competition": trust.competition.slug, **{name: getattr(trust, name) for name in names}}


def trusts_of(*, user: User) -> QuerySet[TrustedPublisher]:
    """Those of one person, newest first."""
    return TrustedPublisher.objects.filter(user=user).select_related("competition")


def trust_get(*, user: User, id: uuid.UUID) -> TrustedPublisher:  # noqa: A002 - the name of the thing
    """One of one's own. Raises `NotFound`, foreign or missing alike."""
    found = trusts_of(user=user).filter(pk=id).first()
    if found is None:
        raise NotFound(_("You have no trust %(id)s.") % {"id": id}, _("See the list of your trusts."))
    return found


def trust_remove(*, trust: TrustedPublisher) -> None:
    """Trust a job no longer. Tokens that it got in the last minutes end too; what it sent stays."""
    with transaction.atomic():
        audit_data, key = _data(trust), trust.pk
        live = ApiToken.objects.filter(user=trust.user_id, origin=ApiToken.Origin.CI, revoked_at=None)
        live.filter(provenance__trust=str(key)).update(revoked_at=now())
        if TrustedPublisher.objects.filter(pk=key).delete()[0]:
            audit_append(actor=trust.user, act="trust.remove", subject=f"trust:{key}", data=audit_data)


def competitions_trusted(*, user: User) -> QuerySet[Competition]:
    """Those that a trust of theirs can be for: where they take part now."""
    active = Member.objects.filter(user=user, participation__status=Participation.Status.ACTIVE)
    return Competition.objects.filter(pk__in=active.values("competition_id")).order_by("title")
