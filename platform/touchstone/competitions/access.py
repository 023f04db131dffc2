"""Who may take part in a competition that they see: e-mail domains, approval, and what says why not."""

from __future__ import annotations

from allauth.account.models import EmailAddress
from django.contrib.auth.models import AnonymousUser
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.competitions.models import Competition, Participation
from touchstone.core.errors import NotAllowed

Viewer = User | AnonymousUser | None
_MEMO = "_confirmed_domains"


def confirmed_domains(*, user: Viewer) -> frozenset[str]:
    """The domains of the user's confirmed e-mail addresses. One query for each user object."""
    if user is None or not user.is_authenticated:
        return frozenset()
    known: frozenset[str] | None = getattr(user, _MEMO, None)
    if known is None:
        found = EmailAddress.objects.filter(user_id=user.pk, verified=True).values_list("email", flat=True)
        known = frozenset(email.rpartition("@")[2].lower() for email in found)
        setattr(user, _MEMO, known)
    return known


def domains_asked(*, competition: Competition) -> list[str]:
    """The e-mail domains that may take part; empty: everybody who may see it."""
    return list((competition.spec.get("access") or {}).get("email_domains") or [])


def needs_approval(*, competition: Competition) -> bool:
    """Whether an organiser approves each participant."""
    return bool((competition.spec.get("access") or {}).get("approval"))


def is_gated(*, competition: Competition) -> bool:
    """Whether not everybody who sees the competition may take part: then its data are for those who do."""
    return needs_approval(competition=competition) or bool(domains_asked(competition=competition))


def domains_check(*, competition: Competition, user: User) -> None:
    """Raises `NotAllowed` for who has no confirmed address in the domains that may take part."""
    asked = domains_asked(competition=competition)
    if not asked or confirmed_domains(user=user) & set(asked):
        return
    named = ", ".join(asked[:8]) + (f" and {len(asked) - 8} more" if len(asked) > 8 else "")
    raise NotAllowed(
        _("Only people with a confirmed e-mail address at %(named)s may join %(competition)s.")
        % {"named": named, "competition": competition.slug},
        _("Add such an address to your account and confirm it, or ask an organiser to invite you."),
        "email_domain",
    )


def refusal(participation: Participation | None, *, competition: Competition) -> NotAllowed | None:
    """Why somebody may not submit and download, if they may not."""
    if participation is None:
        hint = _("Join it first: on its page, or with `touchstone join`.")
        return NotAllowed(
            _("You have not joined %(competition)s.") % {"competition": competition.slug}, hint, "not_joined"
        )
    if participation.status == Participation.Status.PENDING:
        return NotAllowed(
            _("The organisers of %(competition)s have not approved you yet.") % {"competition": competition.slug},
            _("The competition's page says when they have decided."), "pending",
        )  # fmt: skip
    if participation.status == Participation.Status.REMOVED:
        reason = participation.status_reason
        return NotAllowed(
            _("The organisers of %(competition)s ended your participation: %(reason)s")
            % {"competition": competition.slug, "reason": reason}
            if reason
            else _("The organisers of %(competition)s ended your participation.") % {"competition": competition.slug},
            _("What you sent stays yours to see. Ask them if you think that it is a mistake."),
            "removed",
        )
    return None
