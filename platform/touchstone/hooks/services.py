"""Webhooks as their owners make and change them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from runners.outbound import address_problem
from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Competition
from touchstone.competitions.selectors import is_organiser
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotAllowed, UserError
from touchstone.core.sealing import seal, unseal
from touchstone.core.tasks import enqueue
from touchstone.hooks.events import DELIVER, EVENTS, OF_SUBMISSIONS, ping_event
from touchstone.hooks.models import Delivery, Webhook
from touchstone.hooks.signing import secret_make

_MOST = 10
#: How long after a rotation the secret before still signs.
OVERLAP = timedelta(hours=24)
_PINGS = 10


@dataclass(frozen=True)
class NewSecret:
    """A webhook and its new secret, which is shown once and stored sealed."""

    webhook: Webhook
    secret: str


def webhook_create(*, user: User, url: str, events: Sequence[str], competition: Competition | None = None) -> NewSecret:
    """Register an address: for a competition that one organises, or for one's own submissions.

    Raises `UserError` (address, events), `NotAllowed`, `Conflict` (too many).
    """
    if competition is not None and not is_organiser(user=user, competition=competition):
        raise NotAllowed(_("Only organisers register webhooks of a competition."), _("Ask one of them."))
    checked, wanted = _url(url), _events(events, competition)
    secret = secret_make()
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if Webhook.objects.filter(owner=user, competition=competition).count() >= _MOST:
            raise Conflict(
                _("You have %(most)s webhooks here, and more are not allowed.") % {"most": _MOST},
                _("Remove one."),
                "too_many",
            )
        hook = Webhook.objects.create(
            owner=user, competition=competition, url=checked, events=wanted, secret=seal(secret)
        )
        _audit(user, "create", hook, events=wanted)
    return NewSecret(hook, secret)


def webhook_update(
    *, webhook: Webhook, by: User, url: str | None = None, events: Sequence[str] | None = None,
    enabled: bool | None = None,
) -> Webhook:  # fmt: skip
    """Change what is given. Switching it on again forgets its failures. Raises `UserError`."""
    with transaction.atomic():
        hook = Webhook.objects.select_for_update(no_key=True, of=("self",)).get(pk=webhook.pk)
        hook.url = hook.url if url is None else _url(url)
        hook.events = hook.events if events is None else _events(events, hook.competition)
        if enabled is not None and enabled != hook.enabled:
            hook.enabled, hook.disabled_reason = enabled, ""
            hook.failing_since = hook.rests_until = None
        hook.save()
        _audit(by, "update", hook, events=hook.events, enabled=hook.enabled)
        enqueue(DELIVER)
    return hook


def webhook_rotate(*, webhook: Webhook, by: User) -> NewSecret:
    """A new secret. The one before signs beside it for a day, so that receivers can change over."""
    secret = secret_make()
    with transaction.atomic():
        hook = Webhook.objects.select_for_update(no_key=True, of=("self",)).get(pk=webhook.pk)
        hook.old_secret, hook.old_until, hook.secret = hook.secret, now() + OVERLAP, seal(secret)
        hook.save(update_fields=["secret", "old_secret", "old_until"])
        _audit(by, "rotate", hook)
    return NewSecret(hook, secret)


def webhook_delete(*, webhook: Webhook, by: User) -> None:
    """Remove it, and the log of what was sent. What waits is not sent any more."""
    with transaction.atomic():
        # The webhook, its messages, the record: whoever locks more than one of them takes them in this order.
        Webhook.objects.select_for_update(of=("self",)).filter(pk=webhook.pk).first()
        Webhook.objects.filter(pk=webhook.pk).delete()
        _audit(by, "delete", webhook)


def webhook_ping(*, webhook: Webhook) -> None:
    """Have a message sent that only says that messages arrive. Raises `Conflict`."""
    if not webhook.enabled:
        raise Conflict(_("This webhook is switched off."), _("Switch it on first."), "webhook_off")
    with transaction.atomic():
        Webhook.objects.select_for_update(no_key=True).filter(pk=webhook.pk).first()
        recent = Delivery.objects.filter(webhook=webhook, event="ping", created_at__gt=now() - timedelta(minutes=10))
        if recent.count() >= _PINGS:
            raise Conflict(
                _("%(pings)s test messages were sent within ten minutes.") % {"pings": _PINGS},
                _("Wait a little."),
                "too_many",
            )
        _wake(webhook)
        ping_event(webhook=webhook)


def delivery_again(*, delivery: Delivery) -> Delivery:
    """Send a message once more, under the same id. Raises `Conflict` where it waits, or nothing is sent."""
    with transaction.atomic():
        # The webhook first: who writes how an attempt went locks in this order.
        Webhook.objects.select_for_update(no_key=True).filter(pk=delivery.webhook_id).first()
        row = Delivery.objects.select_for_update(of=("self",)).select_related("webhook").get(pk=delivery.pk)
        if not row.webhook.enabled:
            raise Conflict(_("This webhook is switched off."), _("Switch it on first."), "webhook_off")
        if row.status == Delivery.Status.WAITING and row.attempts == 0:
            raise Conflict(_("This message is about to be sent."), _("Wait a moment."), "waiting")
        row.status, row.attempts, row.next_at = Delivery.Status.WAITING, 0, now()
        row.save(update_fields=["status", "attempts", "next_at"])
        _wake(row.webhook)
        enqueue(DELIVER)
    return row


def webhooks_forget(*, user: User) -> None:
    """Remove all that a person registered who leaves, in a transaction."""
    Webhook.objects.filter(owner=user).delete()


def webhooks_reseal() -> int:
    """Seal every secret with the newest key; how many webhooks. Raises `Sealed` where a key is missing."""
    count = 0
    with transaction.atomic():
        for hook in Webhook.objects.select_for_update(no_key=True).order_by("pk"):
            hook.secret = seal(unseal(hook.secret))
            signs = hook.old_secret and hook.old_until is not None and hook.old_until > now()
            hook.old_secret = seal(unseal(hook.old_secret)) if signs else ""
            hook.save(update_fields=["secret", "old_secret"])
            count += 1
    return count


def _wake(webhook: Webhook) -> None:
    Webhook.objects.filter(pk=webhook.pk).update(rests_until=None)


def _url(text: str) -> str:
    text = text.strip()
    problem = _("it has more than 500 characters") if len(text) > 500 else None
    problem = problem or address_problem(text, settings.TOUCHSTONE_OUTBOUND_ALLOW)
    if problem is not None:
        message = _("Messages cannot be sent to this address: %(problem)s.") % {"problem": problem}
        raise UserError(message, _("Give a public https address."), "address", fields={"url": [message]})
    return text


def _events(asked: Iterable[str], competition: Competition | None) -> list[str]:
    known = EVENTS if competition is not None else OF_SUBMISSIONS
    given = set(asked)
    unknown = sorted(given - set(known))
    if unknown or not given:
        message = _("Choose at least one event.")
        if unknown:
            message = _("There is no event %(name)r here.") % {"name": unknown[0][:60]}
        raise UserError(
            message, _("Known are: %(known)s.") % {"known": ", ".join(known)}, "events", fields={"events": [message]}
        )
    return [event for event in known if event in given]


def _audit(by: User, verb: str, hook: Webhook, **data: object) -> None:
    """Of the address only the host: the rest is often a secret of the receiver's."""
    of = hook.competition.slug if hook.competition is not None else None
    told = {"competition": of, "host": urlsplit(hook.url).hostname, **data}
    audit_append(actor=by, act=f"webhook.{verb}", subject=f"webhook:{hook.pk}", data=told)
