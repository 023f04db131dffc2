"""Competitions: import, and who takes part."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.bundle_read import BundleError
from touchstone.competitions.imports import ImportOutcome, competition_import
from touchstone.competitions.models import Competition, Participation
from touchstone.competitions.selectors import competition_get, is_organiser, participation_get
from touchstone.core.errors import Conflict, NotAllowed, UserError
from touchstone.core.text import clean

__all__ = [
    "BundleError", "ImportOutcome", "competition_import", "organiser_add", "participation_invite", "participation_join",
]  # fmt: skip


def participation_join(
    *, competition: Competition, user: User, accept_terms: bool, display_name: str = ""
) -> Participation:
    """Take part. Joining again returns the participation there is and changes nothing.

    `display_name` is shown on the leaderboards (default: the user name) and is unique in the competition.
    Raises `UserError`, `NotFound` (a private competition one was not invited to), `Conflict` (name taken).
    """
    competition_get(user=user, slug=competition.slug)
    known = participation_get(user=user, competition=competition)
    if known is not None:
        return known
    if competition.terms and not accept_terms:
        raise UserError(
            "The terms of this competition must be accepted to join it.",
            "Read them on the rules page, and accept them.", "terms", fields={"accept_terms": ["Accept the terms."]},
        )  # fmt: skip
    return _participate(competition, user, display_name or user.username, by=user, accepted=accept_terms)


def participation_invite(*, competition: Competition, user: User, by: User) -> Participation:
    """Let an organiser bring somebody into a competition, a private one included. Raises `NotAllowed`."""
    if not is_organiser(user=by, competition=competition):
        raise NotAllowed("Only organisers invite.", "Ask one of them.")
    known = participation_get(user=user, competition=competition)
    return known or _participate(competition, user, user.username, by=by, accepted=False)


def organiser_add(*, competition: Competition, user: User, by: User) -> None:
    """Make somebody an organiser. Raises `NotAllowed`."""
    if not is_organiser(user=by, competition=competition):
        raise NotAllowed("Only organisers appoint organisers.", "Ask one of them.")
    with transaction.atomic():
        competition.organisers.add(user)
        audit_append(
            actor=by, act="organiser.add", subject=f"competition:{competition.slug}", data={"user": user.username}
        )


def _participate(competition: Competition, user: User, name: str, *, by: User, accepted: bool) -> Participation:
    name = clean(name.strip())
    if not name or len(name) > 100:
        raise UserError(
            "A name on the leaderboard has between 1 and 100 characters.", "Choose another.",
            fields={"display_name": ["Between 1 and 100 characters."]},
        )  # fmt: skip
    try:
        with transaction.atomic():
            made = Participation.objects.create(competition=competition, user=user, display_name=name)
            audit_append(
                actor=by, act="participation.create", subject=f"competition:{competition.slug}",
                data={"user": user.username, "terms_accepted": accepted, "version": competition.version},
            )  # fmt: skip
    except IntegrityError:
        known = participation_get(user=user, competition=competition)
        if known is not None:  # the same click twice
            return known
        raise Conflict(
            f"Somebody is called {name!r} in this competition.", "Choose another name for the leaderboard.",
            "name_taken", fields={"display_name": ["Taken in this competition."]},
        ) from None  # fmt: skip
    return made
