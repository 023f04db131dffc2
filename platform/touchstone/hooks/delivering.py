"""Sending what waits: signed, bounded, only to public addresses, and again after a failure.

A message is claimed with a lease and sent outside any transaction, so one whose process died is sent once more; its
id is the same each time, and receivers know it by that. One address gets one message at a time, and rests after a
failure, and one process sends at a time, so that slow ones keep neither the others nor the server's tasks waiting.
"""

from __future__ import annotations

import random
import time
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.urls import reverse

from runners.outbound import OutboundRefused, outbound_client
from touchstone.audit.services import audit_append
from touchstone.core.clock import now
from touchstone.core.sealing import Sealed, unseal
from touchstone.core.tasks import enqueue
from touchstone.core.text import clean
from touchstone.hooks.events import DELIVER
from touchstone.hooks.models import Delivery, Webhook
from touchstone.hooks.signing import signature_headers

log = structlog.get_logger(__name__)

#: Seconds after each failure; after the last one the message is given up.
PAUSES = (5, 60, 300, 1800, 7200, 21_600, 43_200, 86_400)
#: An address that has failed for so long is switched off once a message to it is given up.
_LONG = timedelta(days=3)
_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_LEASE = timedelta(seconds=60)
_AT_ONCE = 8
_BUDGET_SECONDS = 20.0
#: An answer may have so many bytes, of which so many are looked at.
_ANSWER_MOST = 2**17
_ANSWER_BYTES = 2048
_KEPT = timedelta(days=30)
_GONE = 410
#: Key of the advisory lock of who sends. It goes with the connection, should its process die.
_LOCK = 0x686F6F6B


@dataclass(frozen=True)
class _Letter:
    """One message on its way."""

    delivery: Delivery
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class _Answer:
    """How an attempt went; `problem` is empty where it was taken."""

    problem: str
    status: int | None = None
    milliseconds: int = 0
    text: str = ""


def hooks_deliver() -> int:
    """Send what is due, for a while, unless another process does; how many attempts were made."""
    until, count, idle = time.monotonic() + _BUDGET_SECONDS, 0, 0
    while idle < 2:  # what is due and cannot be claimed is held by somebody who asks for it to be sent
        with _alone() as alone:
            if not alone:  # whoever sends looks again after it has let go of the lock
                break
            sent = _deliver(until)
        count, idle = count + sent, 0 if sent else idle + 1
        if not _due().exists():
            break
        if time.monotonic() >= until:  # other tasks have their turn first
            enqueue(DELIVER)
            break
    return count


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether nobody else sends, for as long as the context lasts."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        alone = bool(cursor.fetchone()[0])
    try:
        yield alone
    finally:
        if alone:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def _deliver(until: float) -> int:
    count = 0
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="hooks") as pool:
        while time.monotonic() < until and (claimed := _claim()):
            letters = [letter for letter in map(_letter, claimed) if letter is not None]
            # Threads only talk to the network: the database is this thread's.
            for letter, answer in zip(letters, pool.map(_send, letters), strict=True):
                _record(letter.delivery, answer)
            count += len(claimed)
    return count


def deliveries_forget() -> int:
    """Remove what is old, and what has waited so long for a webhook that is off or whose owner may hear no more."""
    return Delivery.objects.filter(created_at__lt=now() - _KEPT).delete()[0]


def _due() -> QuerySet[Delivery]:
    moment = now()
    awake = Q(webhook__rests_until=None) | Q(webhook__rests_until__lte=moment)
    due = Delivery.objects.filter(awake, status=Delivery.Status.WAITING, next_at__lte=moment, webhook__enabled=True)
    return due.filter(_hears(), webhook__owner__is_active=True)


def _claim() -> list[Delivery]:
    moment = now()
    firsts = _due().order_by("webhook_id", "next_at").distinct("webhook_id").values("pk")
    with transaction.atomic():
        rows = Delivery.objects.select_for_update(skip_locked=True, of=("self",)).select_related("webhook__owner")
        # Asked again under the lock: another process may have taken it since.
        taken = list(rows.filter(pk__in=firsts, status=Delivery.Status.WAITING, next_at__lte=moment)[:_AT_ONCE])
        for row in taken:
            row.attempts, row.tried_at, row.next_at = row.attempts + 1, moment, moment + _LEASE
            row.save(update_fields=["attempts", "tried_at", "next_at"])
    return taken


def _hears() -> Q:
    """Messages whose owner may be told now: what waited may have been written while they organised."""
    owner = F("webhook__owner")
    organises = Q(webhook__competition__owner=owner) | Q(webhook__competition__organisers=owner)
    return Q(webhook__competition=None) | Q(webhook__owner__is_superuser=True) | organises


def _letter(delivery: Delivery) -> _Letter | None:
    hook = delivery.webhook
    keys = [hook.secret]
    if hook.old_secret and hook.old_until is not None and hook.old_until > now():
        keys.append(hook.old_secret)
    try:
        opened = [unseal(key) for key in keys]
    except Sealed:
        _record(delivery, _Answer("The secret cannot be read any more; rotate it."))
        return None
    body = delivery.body.encode()
    headers = signature_headers(message=f"msg_{delivery.pk.hex}", timestamp=int(time.time()), body=body, keys=opened)
    return _Letter(delivery, body, {"Content-Type": "application/json", "User-Agent": "touchstone-webhooks"} | headers)


def _send(letter: _Letter) -> _Answer:
    began = time.monotonic()
    limits = httpx.Timeout(_SECONDS, connect=_CONNECT_SECONDS)
    allow, ca = settings.TOUCHSTONE_OUTBOUND_ALLOW, settings.TOUCHSTONE_OUTBOUND_CA
    status, text = None, ""
    try:
        with outbound_client(allow=allow, timeout=limits, max_bytes=_ANSWER_MOST, ca=ca) as client:
            answer = client.post(letter.delivery.webhook.url, content=letter.body, headers=letter.headers)
        status, text, problem = answer.status_code, _head(answer.content), _problem(answer.status_code)
    except OutboundRefused as error:
        problem = error.reason
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    took = int(1000 * (time.monotonic() - began))
    return _Answer(clean(problem, limit=300), status, took, text)


def _head(answer: bytes) -> str:
    """The beginning of what came back, as a line of text without anything that could act on who reads it."""
    text = answer[:_ANSWER_BYTES].decode("utf-8", "replace")
    shown = "".join(" " if unicodedata.category(each)[0] in "CZ" else each for each in text)
    return clean(" ".join(shown.split()), limit=500)


def _problem(status: int) -> str:
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return "It answered with a redirection, which is not followed."
    return f"It answered {status}."


def _record(delivery: Delivery, answer: _Answer) -> None:
    """Write how an attempt went, and what comes next."""
    moment = now()
    with transaction.atomic():
        hook = Webhook.objects.select_for_update(no_key=True).filter(pk=delivery.webhook_id).first()
        if hook is None:  # removed meanwhile
            return
        row = Delivery.objects.select_for_update(of=("self",)).filter(pk=delivery.pk).first()
        if row is None or row.attempts != delivery.attempts:  # asked for anew, or taken by another sender since
            return
        row.http_status, row.milliseconds = answer.status, answer.milliseconds
        row.answer, row.problem = answer.text, answer.problem
        if not answer.problem:
            row.status, row.next_at = Delivery.Status.DELIVERED, None
            hook.failing_since = hook.rests_until = None
        else:
            _failed(hook, row, moment)
        row.save()
        hook.save(update_fields=["failing_since", "rests_until", "enabled", "disabled_reason"])


def _failed(hook: Webhook, row: Delivery, moment: datetime) -> None:
    hook.failing_since = hook.failing_since or moment
    failing = moment - hook.failing_since
    hook.rests_until = moment + min(max(failing / 2, timedelta(seconds=5)), timedelta(hours=1))
    if row.attempts > len(PAUSES):
        row.status, row.next_at = Delivery.Status.GIVEN_UP, None
    else:
        spread = random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, hides nothing
        row.next_at = moment + timedelta(seconds=PAUSES[row.attempts - 1] * spread)
    if row.http_status == _GONE:
        row.status, row.next_at = Delivery.Status.GIVEN_UP, None
        _disable(hook, "It answered 410: it wants to hear no more.")
    elif row.status == Delivery.Status.GIVEN_UP and failing >= _LONG:
        _disable(hook, f"Nothing has arrived since {hook.failing_since:%Y-%m-%d %H:%M} UTC. {row.problem}")


def _disable(hook: Webhook, reason: str) -> None:
    if not hook.enabled:
        return
    hook.enabled, hook.disabled_reason = False, clean(reason, limit=300)
    audit_append(actor=None, act="webhook.disable", subject=f"webhook:{hook.pk}", data={"reason": hook.disabled_reason})
    transaction.on_commit(lambda: _mail(hook.pk), robust=True)


def _mail(pk: object) -> None:
    """Tell who made it."""
    hook = Webhook.objects.select_related("owner").filter(pk=pk).first()
    if hook is None or not settings.TOUCHSTONE_EMAIL_URL or not hook.owner.email:
        return
    page = settings.TOUCHSTONE_BASE_URL + reverse("web:webhook", args=[hook.pk])
    body = (
        f"The webhook {hook.url} is switched off.\n{hook.disabled_reason}\n\nMend it and switch it on again: {page}\n"
    )
    try:
        EmailMessage("Touchstone: a webhook is switched off", body, to=[hook.owner.email]).send()
    except OSError as error:
        log.warning("webhook.mail_failed", webhook=str(pk), error=type(error).__name__)
