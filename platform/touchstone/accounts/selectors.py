"""Reading tokens."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q, QuerySet

from touchstone.accounts.models import ApiToken, User
from touchstone.accounts.tokens import token_matches, token_public
from touchstone.core.clock import now

_USE_EVERY = timedelta(minutes=1)


def token_user(*, raw: str) -> ApiToken | None:
    """The live token that `raw` is, with its user; None where it is unknown, revoked, expired or its user inactive.

    Its last use is noted at most once a minute, so that reading does not become writing.
    """
    public = token_public(raw=raw, prefix="ts")
    if public is None:
        return None
    token = ApiToken.objects.select_related("user").filter(public=public).first()
    if token is None or not token_matches(raw=raw, digest=token.digest) or not _is_live(token):
        return None
    moment = now()
    if token.last_used_at is None or moment - token.last_used_at >= _USE_EVERY:
        unused = Q(last_used_at=None) | Q(last_used_at__lte=moment - _USE_EVERY)
        ApiToken.objects.filter(unused, pk=token.pk).update(last_used_at=moment)
        token.last_used_at = moment
    return token


def _is_live(token: ApiToken) -> bool:
    expired = token.expires_at is not None and token.expires_at <= now()
    return token.revoked_at is None and not expired and token.user.is_active


def tokens_of(*, user: User) -> QuerySet[ApiToken]:
    """A user's tokens that were not revoked, newest first; of a CI service's jobs only those that still work."""
    over = Q(origin=ApiToken.Origin.CI, expires_at__lte=now())
    return ApiToken.objects.filter(user=user, revoked_at=None).exclude(over)


def tokens_live(*, user: User) -> QuerySet[ApiToken]:
    """A user's tokens that work now."""
    return ApiToken.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now()), user=user, revoked_at=None)
