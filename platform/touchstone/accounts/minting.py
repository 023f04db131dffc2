"""A job of a CI service exchanges its identity for a token, good for one competition and fifteen minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from touchstone.accounts.claims import Issuer, Job, job_check, job_of, provenance_of
from touchstone.accounts.idtokens import Proved, token_prove
from touchstone.accounts.models import ApiToken, OidcUse, TrustedPublisher
from touchstone.accounts.scopes import SUBMIT
from touchstone.accounts.services import token_create
from touchstone.accounts.trusts import MOST
from touchstone.core.clock import now
from touchstone.core.errors import NotAllowed
from touchstone.core.text import clean

LIFE = timedelta(minutes=15)
#: How long rows of tokens that have expired are kept.
_KEPT = timedelta(days=30)
_Step = tuple[str, str, Callable[[TrustedPublisher], bool]]


@dataclass(frozen=True)
class Minted:
    """A token for a job. `secret` is told once."""

    token: ApiToken
    secret: str
    competition: str
    user: str


def token_mint(*, raw: str, competition: str = "", user: str = "") -> Minted:
    """A token for the one trust that the ID token fits; `competition` and `user` choose among several.

    Raises `NotAllowed` with a code of its own for each reason. Of trusts it only tells what concerns the repository
    that the token proves to be.
    """
    proved = token_prove(raw=raw)
    job = job_of(issuer=proved.issuer, claims=proved.claims)
    job_check(issuer=proved.issuer, job=job)
    trust = _fitting(proved.issuer, job, competition, user)
    provenance = {**provenance_of(issuer=proved.issuer, job=job), "trust": str(trust.pk)}
    moment, slug = now(), trust.competition.slug
    OidcUse.objects.filter(expires_at__lt=moment).delete()
    ApiToken.objects.filter(user=trust.user, origin=ApiToken.Origin.CI, expires_at__lt=moment - _KEPT).delete()
    with transaction.atomic():
        _use(proved)
        TrustedPublisher.objects.filter(pk=trust.pk).update(last_used_at=moment)
        token, secret = token_create(
            user=trust.user, name=clean(f"CI: {job.repository}@{job.commit[:10]}", limit=100),
            scopes=[f"{SUBMIT}:{slug}"], expires_at=moment + LIFE, origin=ApiToken.Origin.CI, provenance=provenance,
        )  # fmt: skip
    return Minted(token, secret, slug, trust.user.get_username())


def _use(proved: Proved) -> None:
    """Note that the token was used. Of two requests at once, the row of one is refused."""
    try:
        with transaction.atomic():
            OidcUse.objects.create(issuer=proved.issuer.issuer, jti=proved.jti, expires_at=proved.expires_at)
    except IntegrityError as error:
        raise NotAllowed(
            _("The token was used already; each is good for one exchange."), _("Ask the service for a new one."),
            "oidc_replayed",
        ) from error  # fmt: skip


def _fitting(issuer: Issuer, job: Job, competition: str, user: str) -> TrustedPublisher:
    """The one trust that fits, narrowed down step by step, so that the refusal says which part does not."""
    here = TrustedPublisher.objects.filter(
        issuer=issuer.issuer, repository_id=job.repository_id, user__is_active=True
    ).select_related("user", "competition")
    if user:  # whoever else claims this repository is not in the way
        here = here.filter(user__username__iexact=user)
    left = list(here.order_by("created_at")[: 10 * MOST])
    for code, text, fits in _steps(job, competition):
        left = [trust for trust in left if fits(trust)]
        if not left:
            raise NotAllowed(text, _("Compare with the trusts on your account page."), code)
    if len(left) > 1:
        raise NotAllowed(
            _("More than one trust fits this job."),
            _("Name the competition, and set `user` (TOUCHSTONE_USER) to the person whose trust it is."),
            "oidc_ambiguous",
        )
    return left[0]


def _steps(job: Job, competition: str) -> Iterator[_Step]:
    """(code, words, test). Whoever proves to be the repository is told what it says of itself; no trust's values."""
    name = f"{clean(job.repository, limit=100)} (repository id {job.repository_id})"
    yield "oidc_repository", f"There is no trust for {name}.", lambda trust: True
    text = f"{name} belongs to the owner {job.owner_id}, and a trust names another."
    yield "oidc_owner", text, lambda trust: trust.owner_id == job.owner_id
    text = f"The job is of {clean(job.workflow, limit=100)}, and a trust names another file."
    yield "oidc_workflow", text, lambda trust: trust.workflow == job.workflow
    text = f"The job runs in the environment {clean(job.environment, limit=60)!r}, and a trust asks for another."
    yield "oidc_environment", text, lambda trust: _is(trust.environment, job.environment)
    text = f"The job runs on {clean(job.ref, limit=100)}, and a trust asks for another branch or tag."
    yield "oidc_ref", text, lambda trust: not trust.ref or fnmatchcase(job.ref, trust.ref)
    text = "This job is trusted, but not for this competition."
    yield "oidc_competition", text, lambda trust: competition in ("", trust.competition.slug)


def _is(asked: str, found: str) -> bool:
    """GitHub's names of environments do not regard case."""
    return not asked or asked.casefold() == found.casefold()
