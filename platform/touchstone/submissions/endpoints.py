"""Endpoints of participants and the credentials that they ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from runners.contract import EndpointRef
from runners.outbound import address_problem
from runners.spec.models import CompetitionSpec
from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotFound, UserError
from touchstone.core.sealing import Sealed, seal, unseal
from touchstone.submissions.models import Credential, Submission

_MOST_CREDENTIALS = 20
_LONGEST_URL, _LONGEST_SECRET = 500, 4096
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_SECRET = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
#: Headers that the request itself needs, or that lead it elsewhere.
_TAKEN = frozenset({
    "accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host",
    "inference-header-content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip


@dataclass(frozen=True)
class EndpointGiven:
    """What a participant says of an endpoint. `credential`: the name of one of their own; empty: it needs none."""

    url: str
    model: str = "model"
    credential: str = ""


@dataclass(frozen=True)
class EndpointAccepted:
    """An endpoint as a submission keeps it. The secret is not in it."""

    kept: dict[str, Any]
    credential: Credential | None


def endpoint_accept(*, user: User, given: EndpointGiven) -> EndpointAccepted:
    """Check what can be told without calling it. Raises `UserError` with the field that is wrong."""
    url = given.url.strip().rstrip("/")
    problem = address_problem(url, settings.TOUCHSTONE_OUTBOUND_ALLOW) if url else _("it is missing")
    if problem is None and len(url) > _LONGEST_URL:
        problem = _("it has more than %(most)s characters") % {"most": _LONGEST_URL}
    if problem is None and ("?" in url or url.endswith(("/v2", "/infer"))):
        problem = _("it has to end before /v2: the platform adds the paths of the protocol")
    if problem is not None:
        raise UserError(
            _("This address cannot be an endpoint: %(problem)s.") % {"problem": problem},
            _("Write https://HOST or https://HOST/PATH, where /v2/health/ready is answered below it."),
            "endpoint_url",
            fields={"url": [_("It cannot be an endpoint: %(problem)s.") % {"problem": problem}]},
        )
    model = given.model.strip() or "model"
    if not _MODEL.fullmatch(model):
        raise UserError(
            _("%(model)r is no name of a model.") % {"model": model[:100]},
            _("Letters, digits, dots, hyphens and underscores: what stands in /v2/models/NAME."),
            "endpoint_model",
        )
    credential = _credential(user, given.credential, url) if given.credential else None
    return EndpointAccepted({"url": url, "model": model, "credential": given.credential}, credential)


def _credential(user: User, name: str, url: str) -> Credential:
    """The credential, which goes to one host: whoever gets hold of a token must not have it sent to themselves."""
    found = credential_get(user=user, name=name)
    _check_host(found, url)
    return found


def endpoint_bind(*, accepted: EndpointAccepted) -> None:
    """Let its credential go to this host alone from now on. In the transaction that creates the submission.

    Not before: a submission that is refused binds nothing. Raises as `endpoint_accept` does.
    """
    if accepted.credential is None:
        return
    name, url = accepted.credential.name, accepted.kept["url"]
    found = Credential.objects.select_for_update(no_key=True).filter(pk=accepted.credential.pk).first()
    if found is None:  # deleted meanwhile
        raise _unknown(name)
    _check_host(found, url)
    if not found.host:
        found.host = _host(url)
        found.save(update_fields=["host"])


def _host(url: str) -> str:
    return urlsplit(url).netloc.lower()


def _check_host(found: Credential, url: str) -> None:
    if found.host and found.host != _host(url):
        raise UserError(
            _("The credential %(name)s is for %(host)s, and is sent nowhere else.")
            % {"name": found.name, "host": found.host},
            _("Register another one for %(host)s.") % {"host": _host(url)},
            "credential_host",
        )


def endpoint_ref(*, submission: Submission, spec: CompetitionSpec) -> EndpointRef:
    """Where a node finds a submission's endpoint, with the secret: for the attempt that is about to begin alone."""
    kept, credential = submission.endpoint, submission.credential
    secret, gone = "", bool(kept["credential"]) and credential is None
    if credential is not None and credential.host != _host(kept["url"]):
        gone = True  # it was made anew, for another host
    elif credential is not None:
        try:
            secret = unseal(credential.sealed)
        except Sealed:  # the operators have taken the key away
            gone = True
        Credential.objects.filter(pk=credential.pk).update(last_used_at=now())
    return EndpointRef(
        url=kept["url"], model=kept["model"], header=credential.header if credential and secret else "", secret=secret,
        credential_gone=gone, budget=spec.submission.endpoint,
        splits=tuple(name for name, split in spec.data.items() if split.leaves_platform),
    )  # fmt: skip


def credentials_of(*, user: User) -> QuerySet[Credential]:
    """One's own, by name."""
    return Credential.objects.filter(user=user)


def credential_get(*, user: User, name: str) -> Credential:
    """One of one's own. Raises `NotFound`."""
    found = credentials_of(user=user).filter(name=name).first()
    if found is None:
        raise _unknown(name)
    return found


def _unknown(name: str) -> NotFound:
    return NotFound(
        _("You have no credential called %(name)r.") % {"name": name[:64]},
        _("Register it first, under your account or with `touchstone credential add`."),
        "credential",
    )


def credential_add(*, user: User, name: str, header: str, secret: str) -> Credential:
    """Keep a secret, encrypted; nobody is ever shown it again. Raises `UserError` and `Conflict`."""
    name, header, secret = name.strip().lower(), header.strip(), secret.strip()
    fields: dict[str, list[str]] = {}
    if not _NAME.fullmatch(name):
        fields["name"] = [_("Small letters, digits, hyphens and underscores, at most 64.")]
    if not _HEADER.fullmatch(header) or header.lower() in _TAKEN:
        fields["header"] = [_("The name of a header of your own, such as Authorization or X-Api-Key.")]
    if not _SECRET.fullmatch(secret) or len(secret) > _LONGEST_SECRET:
        fields["secret"] = [_("One line of visible ASCII characters, at most 4096.")]
    if fields:
        raise UserError(
            _("The credential cannot be kept: %(why)s") % {"why": " ".join(texts[0] for texts in fields.values())},
            _("Correct it and send it again; nothing was kept."),
            "credential",
            fields=fields,
        )
    if credentials_of(user=user).count() >= _MOST_CREDENTIALS:
        raise Conflict(
            _("You have %(most)s credentials, as many as one may.") % {"most": _MOST_CREDENTIALS},
            _("Delete one that is not used any more."),
            "credentials_full",
        )
    try:
        with transaction.atomic():
            made = Credential.objects.create(user=user, name=name, header=header, sealed=seal(secret))
            audit_append(
                actor=user, act="credential.add", subject=f"user:{user.pk}", data={"name": name, "header": header}
            )
    except IntegrityError:
        raise Conflict(
            _("You have a credential called %(name)s already.") % {"name": name},
            _("Delete it first, or choose another name."),
            "name_taken",
        ) from None
    return made


def credential_delete(*, user: User, name: str) -> None:
    """Forget a secret. Runs that need it fail from now on, and cost nothing. Raises `NotFound`."""
    with transaction.atomic():
        credential_get(user=user, name=name).delete()
        audit_append(actor=user, act="credential.delete", subject=f"user:{user.pk}", data={"name": name})


def credentials_forget(*, user: User) -> None:
    """Forget all secrets of somebody who leaves. The caller is in a transaction."""
    Credential.objects.filter(user=user).delete()


def credentials_reseal() -> int:
    """Seal every secret with the newest key; how many there were. Raises `Sealed` where a key is missing."""
    count = 0
    with transaction.atomic():
        for credential in Credential.objects.select_for_update(no_key=True).order_by("pk"):
            credential.sealed = seal(unseal(credential.sealed))
            credential.save(update_fields=["sealed"])
            count += 1
    return count
