"""Sign-up and API tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from allauth.account.models import EmailAddress
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from touchstone.accounts.models import ApiToken, DeviceGrant, User
from touchstone.accounts.scopes import ADMIN, NAMES, ORGANISE, scope_parts, scopes_sorted
from touchstone.accounts.selectors import tokens_live
from touchstone.accounts.tokens import token_make
from touchstone.audit.services import audit_append
from touchstone.competitions.selectors import competition_get, is_organiser
from touchstone.core.clock import now
from touchstone.core.errors import NotFound, UserError

_MAX_TOKENS = 50
_TAKEN = gettext_lazy("An account with this e-mail address exists. Sign in instead.")


#: The code of an error whose only fault is that somebody has the address: pages may keep that to themselves.
ADDRESS_TAKEN = "address_taken"


def user_create(*, username: str, email: str, password: str, verified: bool = False, discreet: bool = False) -> User:
    """Sign a person up. `verified`: the address is known to be theirs. `discreet`: another fault hides that somebody
    has the address; else a bad password would be a way to ask who has an account.

    Raises `UserError` with the faults of every field at once; its code is `ADDRESS_TAKEN` where nothing else is wrong.
    """
    user = User(username=User.normalize_username(username.strip()), email=User.objects.normalize_email(email.strip()))
    fields = _user_faults(user, password, discreet=discreet)
    if fields:
        raise _field_error(fields)
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=verified)
            audit_append(actor=user, act="user.create", subject=f"user:{user.pk}")
    except IntegrityError as error:  # somebody took the name or the address since it was looked up
        email_taken = "user_email_unique" in str(error)
        taken = (
            {"email": [str(_TAKEN)]}
            if email_taken
            else {"username": [_("This one is taken. Choose another, or sign in.")]}
        )
        raise _field_error(taken) from error
    return user


def _user_faults(user: User, password: str, *, discreet: bool) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    try:
        user.full_clean(exclude=["password"], validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        fields.update(error.message_dict)
    if user.username and User.objects.filter(username__iexact=user.username).exists():
        fields.setdefault("username", []).append(_("This user name is taken. Choose another, or sign in."))
    try:
        validate_password(password, user)
    except ValidationError as error:
        fields["password"] = list(error.messages)
    if user.email and not (discreet and fields) and _is_taken(user.email):
        fields.setdefault("email", []).append(str(_TAKEN))
    return fields


def _is_taken(email: str) -> bool:
    """Also where somebody has it beside the address that they write from."""
    return (
        User.objects.filter(email__iexact=email).exists()
        or EmailAddress.objects.filter(email__iexact=email, verified=True).exists()
    )


def _field_error(fields: dict[str, list[str]]) -> UserError:
    text = " ".join(f"{name}: {' '.join(messages)}" for name, messages in fields.items())
    code = ADDRESS_TAKEN if fields == {"email": [_TAKEN]} else ""
    return UserError(
        _("The account was not created. %(text)s") % {"text": text},
        _("Correct the fields named and send again."),
        code,
        fields=fields,
    )


def scopes_check(*, user: User, scopes: Iterable[str]) -> list[str]:
    """The scopes, each once and in order, if the user may give all of them away. Raises `UserError`.

    A competition that they may not see answers as one that does not exist.
    """
    wanted = scopes_sorted(scopes=scopes)
    if not wanted:
        raise _scope_error(
            _("A token needs at least one scope."), _("Choose among %(names)s.") % {"names": ", ".join(NAMES)}
        )
    for scope in wanted:
        parts = scope_parts(scope=scope)
        if parts is None:
            raise _scope_error(
                _("Unknown scope: %(clean)s.") % {"clean": scope[:100]},
                _("Choose among %(names)s.") % {"names": ", ".join(NAMES)},
            )
        name, slug = parts
        if name == ADMIN and not user.is_staff:
            raise _scope_error(_("The scope admin is for the platform's staff."), _("Leave it out."))
        if slug:
            _competition_check(user, name, slug)
    return wanted


def _competition_check(user: User, name: str, slug: str) -> None:
    try:
        competition = competition_get(user=user, slug=slug)
    except NotFound as error:
        raise _scope_error(error.message, _("Check the name behind the colon.")) from error
    if name == ORGANISE and not is_organiser(user=user, competition=competition):
        raise _scope_error(
            _("You do not organise %(slug)s.") % {"slug": slug},
            _("Choose submit:%(slug)s, or ask its organisers.") % {"slug": slug},
        )


def _scope_error(message: str, text: str) -> UserError:
    hint = _("Scopes are %(names)s, and submit:COMPETITION or organise:COMPETITION.") % {"names": ", ".join(NAMES)}
    return UserError(message, hint, fields={"scopes": [f"{message} {text}"]})


def token_create(
    *,
    user: User,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None = None,
    origin: str = ApiToken.Origin.PAGE,
    provenance: Mapping[str, str] | None = None,
) -> tuple[ApiToken, str]:
    """Make an API token. The second value is the token itself: shown now, and never again.

    `provenance`: of a job of a CI service, whose tokens live for minutes and count for no limit.
    """
    wanted = scopes_check(user=user, scopes=scopes)
    name = name.strip()
    if not name or len(name) > 100:
        raise UserError(
            _("A token needs a name of at most 100 characters."),
            _("Name the machine or program that will hold it."),
            fields={"name": [_("Between 1 and 100 characters.")]},
        )
    if expires_at is not None and expires_at <= now():
        raise UserError(
            _("The expiry lies in the past."),
            _("Give a later time, or none."),
            fields={"expires_at": [_("In the past.")]},
        )
    if (
        origin != ApiToken.Origin.CI
        and tokens_live(user=user).exclude(origin=ApiToken.Origin.CI).count() >= _MAX_TOKENS
    ):
        raise UserError(
            _("You hold %(max_tokens)s tokens, the most allowed.") % {"max_tokens": _MAX_TOKENS},
            _("Revoke one that you no longer need."),
        )
    fresh = token_make(prefix="ts")
    with transaction.atomic():
        token = ApiToken.objects.create(
            user=user, name=name, public=fresh.public, digest=fresh.digest, scopes=wanted, expires_at=expires_at,
            origin=origin, provenance=dict(provenance or {}),
        )  # fmt: skip
        data = {"scopes": wanted, "origin": str(origin)} | ({"provenance": dict(provenance)} if provenance else {})
        audit_append(actor=user, act="token.create", subject=f"token:{token.public}", data=data)
    return token, fresh.raw


def token_revoke(*, token: ApiToken) -> None:
    """End a token at once. Revoking it again changes nothing."""
    with transaction.atomic():
        if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now()):
            audit_append(actor=token.user, act="token.revoke", subject=f"token:{token.public}")
    token.refresh_from_db(fields=["revoked_at"])


def tokens_revoke(*, user: User) -> int:
    """End all tokens of a person, and programs that are about to get one. Returns how many tokens that were."""
    with transaction.atomic():
        waiting = DeviceGrant.objects.filter(user=user, state=DeviceGrant.State.APPROVED)
        waiting.update(state=DeviceGrant.State.DENIED)
        count = ApiToken.objects.filter(user=user, revoked_at=None).update(revoked_at=now())
        if count:
            audit_append(actor=user, act="token.revoke_all", subject=f"user:{user.pk}", data={"tokens": count})
    return count
