"""A competition as a bundle to take along: everything that it is, hidden labels included, so for its organisers."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from touchstone.audit.services import audit_append
from touchstone.competitions.models import Competition
from touchstone.competitions.selectors import Viewer, is_organiser
from touchstone.competitions.writer import competition_entries, zip_stream
from touchstone.core.errors import NotFound


def competition_export(*, competition: Competition, user: Viewer) -> Iterator[bytes]:
    """The zip of a competition, a piece at a time. The same version gives the same bytes; importing it changes nothing.

    Raises `NotFound` for everybody who does not organise it: the bundle holds what nobody else may see.
    """
    if not is_organiser(user=user, competition=competition):
        raise NotFound(
            _("There is no export of %(competition)r for you.") % {"competition": competition.slug},
            _("Its organisers can export it; ask one of them."),
        )
    audit_append(
        actor=user, act="competition.export", subject=f"competition:{competition.slug}",
        data={"version": competition.version, "digest": competition.bundle_digest},
    )  # fmt: skip
    return zip_stream(entries=competition_entries(competition=competition))


def export_name(*, competition: Competition) -> str:
    """What the file is called."""
    return f"{competition.slug}-v{competition.version}.zip"
