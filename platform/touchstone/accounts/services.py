"""Sign-up and API tokens."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from allauth.account.models import EmailAddress
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from touchstone.accounts.models import ApiToken, User
from touchstone.accounts.tokens import token_make
from touchstone.audit.services import audit_append
from touchstone.core.clock import now
from touchstone.core.errors import UserError

SCOPES = ("read", "submit", "organise")
_MAX_TOKENS = 50
_TAKEN = "An account with this e-mail address exists. Sign in instead."


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
        taken = {"email": [_TAKEN]} if email_taken else {"username": ["This one is taken. Choose another, or sign in."]}
        raise _field_error(taken) from error
    return user


def _user_faults(user: User, password: str, *, discreet: bool) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    try:
        user.full_clean(exclude=["password"], validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        fields.update(error.message_dict)
    if user.username and User.objects.filter(username__iexact=user.username).exists():
        fields.setdefault("username", []).append("This user name is taken. Choose another, or sign in.")
    try:
        validate_password(password, user)
    except ValidationError as error:
        fields["password"] = list(error.messages)
    if user.email and not (discreet and fields) and _is_taken(user.email):
        fields.setdefault("email", []).append(_TAKEN)
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
        f"The account was not created. {text}", "Correct the fields named and send again.", code, fields=fields
    )


def token_create(
    *, user: User, name: str, scopes: Iterable[str], expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """Make an API token. The second value is the token itself: shown now, and never again."""
    wanted = sorted(set(scopes), key=lambda s: (SCOPES.index(s) if s in SCOPES else len(SCOPES), s))
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        raise UserError(
            f"Unknown scope: {', '.join(unknown)}." if unknown else "A token needs at least one scope.",
            f"Scopes are {', '.join(SCOPES)}.",
            fields={"scopes": [f"Choose among {', '.join(SCOPES)}."]},
        )
    name = name.strip()
    if not name or len(name) > 100:
        raise UserError(
            "A token needs a name of at most 100 characters.",
            "Name the machine or program that will hold it.",
            fields={"name": ["Between 1 and 100 characters."]},
        )
    if expires_at is not None and expires_at <= now():
        raise UserError(
            "The expiry lies in the past.", "Give a later time, or none.", fields={"expires_at": ["In the past."]}
        )
    if ApiToken.objects.filter(user=user, revoked_at=None).count() >= _MAX_TOKENS:
        raise UserError(f"You hold {_MAX_TOKENS} tokens, the most allowed.", "Revoke one that you no longer need.")
    fresh = token_make(prefix="ts")
    with transaction.atomic():
        token = ApiToken.objects.create(
            user=user, name=name, public=fresh.public, digest=fresh.digest, scopes=wanted, expires_at=expires_at
        )
        audit_append(actor=user, act="token.create", subject=f"token:{token.public}", data={"scopes": wanted})
    return token, fresh.raw


def token_revoke(*, token: ApiToken) -> None:
    """End a token at once. Revoking it again changes nothing."""
    with transaction.atomic():
        if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now()):
            audit_append(actor=token.user, act="token.revoke", subject=f"token:{token.public}")
    token.refresh_from_db(fields=["revoked_at"])
