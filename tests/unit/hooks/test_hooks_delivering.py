"""Sending to a real receiver: signatures, failures, retries, and what an address may not be."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import transaction
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from tests.factories.https_server import reply
from tests.factories.server import competition_make, user_make
from tests.factories.threads import together
from tests.unit.hooks.conftest import Receiver
from touchstone.accounts.models import User
from touchstone.audit.models import AuditEntry
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotAllowed, UserError
from touchstone.hooks import delivering
from touchstone.hooks.delivering import PAUSES, deliveries_forget, hooks_deliver
from touchstone.hooks.models import Delivery, Webhook
from touchstone.hooks.services import (
    NewSecret,
    delivery_again,
    webhook_create,
    webhook_delete,
    webhook_ping,
    webhook_rotate,
    webhook_update,
)
from touchstone.hooks.signing import signature_headers

pytestmark = pytest.mark.django_db


def made(url: str, **changes: Any) -> NewSecret:
    return webhook_create(user=user_make(), url=url, events=["submission.scored"], **changes)


def due() -> None:
    Delivery.objects.filter(status="waiting").update(next_at=now())
    Webhook.objects.update(rests_until=None)


def test_a_message_arrives_and_verifies(receiver: Receiver) -> None:
    new = made(receiver.url)
    webhook_ping(webhook=new.webhook)

    assert hooks_deliver() == 1

    headers, body = receiver.got[0]
    told = Verifier(new.secret).verify(body, headers)
    assert (told["type"], told["version"], told["data"]) == ("ping", 1, {"webhook": str(new.webhook.pk)})
    assert headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Verifier(new.secret).verify(body.replace(b"ping", b"pong"), headers)
    row = Delivery.objects.get()
    assert (row.status, row.attempts, row.http_status, row.problem) == ("delivered", 1, 204, "")
    assert row.milliseconds < 10_000
    assert headers["webhook-id"] == f"msg_{row.pk.hex}"
    assert hooks_deliver() == 0


def test_our_signature_is_the_librarys() -> None:
    from datetime import UTC, datetime

    secret, stamp = "whsec_" + "QUJD" * 8, int(time.time())
    ours = signature_headers(message="msg_1", timestamp=stamp, body=b"{}", keys=[secret])
    theirs = Verifier(secret).sign("msg_1", datetime.fromtimestamp(stamp, UTC), "{}")
    assert ours["webhook-signature"] == theirs


def test_both_secrets_verify_for_a_day_after_a_rotation(receiver: Receiver) -> None:
    old = made(receiver.url)
    new = webhook_rotate(webhook=old.webhook, by=old.webhook.owner)
    webhook_ping(webhook=new.webhook)
    hooks_deliver()
    for secret in (old.secret, new.secret):
        Verifier(secret).verify(receiver.got[0][1], receiver.got[0][0])

    Webhook.objects.update(old_until=now())
    webhook_ping(webhook=new.webhook)
    hooks_deliver()

    Verifier(new.secret).verify(receiver.got[1][1], receiver.got[1][0])
    with pytest.raises(WebhookVerificationError):
        Verifier(old.secret).verify(receiver.got[1][1], receiver.got[1][0])


def test_secrets_are_nowhere(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    new = made(receiver.url)
    plain = new.secret.removeprefix("whsec_")
    row = Webhook.objects.values().get()
    assert plain not in str(row)
    assert plain not in str(list(AuditEntry.objects.values()))
    assert "/hook" not in str(list(AuditEntry.objects.values()))  # an address may be a secret, too
    assert plain not in caplog.text


def test_a_failure_is_tried_again_with_growing_pauses(receiver: Receiver) -> None:
    new = made(receiver.url)
    receiver.answer = 500
    webhook_ping(webhook=new.webhook)
    for attempt, pause in enumerate(PAUSES, start=1):
        assert hooks_deliver() == 1
        row = Delivery.objects.get()
        assert (row.status, row.attempts, row.problem) == ("waiting", attempt, "It answered 500.")
        assert 0.8 * pause - 2 <= (row.next_at - now()).total_seconds() <= 1.2 * pause
        assert Webhook.objects.get().rests_until > now()
        assert hooks_deliver() == 0
        due()
    assert row.answer == "thank you [31m <script>"

    hooks_deliver()

    row.refresh_from_db()
    assert (row.status, row.next_at) == ("given_up", None)
    assert Webhook.objects.get().enabled  # not for long enough
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    receiver.answer = 200
    delivery_again(delivery=row)
    hooks_deliver()
    row.refresh_from_db()
    assert (row.status, Webhook.objects.get().failing_since) == ("delivered", None)


def test_what_fails_for_days_is_switched_off_with_a_mail(receiver: Receiver, settings: Any) -> None:
    settings.TOUCHSTONE_EMAIL_URL = "smtp://x"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    new = made(receiver.url)
    receiver.answer = 503
    webhook_ping(webhook=new.webhook)
    Webhook.objects.update(failing_since=now() - timedelta(days=4))
    Delivery.objects.update(attempts=len(PAUSES))

    hooks_deliver()

    hook = Webhook.objects.get()
    assert not hook.enabled
    assert "It answered 503." in hook.disabled_reason
    assert AuditEntry.objects.filter(act="webhook.disable").exists()
    with pytest.raises(Conflict, match="switched off"):
        webhook_ping(webhook=hook)
    hook = webhook_update(webhook=hook, by=hook.owner, enabled=True)
    assert (hook.failing_since, hook.disabled_reason) == (None, "")


@pytest.mark.django_db(transaction=True)
def test_the_mail_goes_to_who_made_it(receiver: Receiver, settings: Any) -> None:
    settings.TOUCHSTONE_EMAIL_URL = "smtp://x"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    new = made(receiver.url)
    receiver.answer = 410
    webhook_ping(webhook=new.webhook)
    hooks_deliver()
    assert not Webhook.objects.get().enabled
    assert [(each.to, new.secret in each.body) for each in mail.outbox] == [([new.webhook.owner.email], False)]


def _redirect(request: Any) -> None:
    reply(request, 302, b"", Location="http://169.254.169.254/latest")


def _endless(request: Any) -> None:
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(b"x" * 65536)


def _hangs_up(request: Any) -> None:
    raise ConnectionAbortedError


@pytest.mark.parametrize(
    ("answer", "problem", "status"),
    [(_redirect, "redirection", 302), (_hangs_up, "Error", None), (404, "404", 404)],
)
def test_bad_answers(receiver: Receiver, answer: Any, problem: str, status: int | None) -> None:
    webhook_ping(webhook=made(receiver.url).webhook)
    receiver.answer = answer
    hooks_deliver()
    row = Delivery.objects.get()
    assert (row.status, row.http_status) == ("waiting", status)
    assert problem in row.problem


def test_an_endless_answer_is_not_read(receiver: Receiver) -> None:
    webhook_ping(webhook=made(receiver.url).webhook)
    receiver.answer = _endless
    hooks_deliver()
    row = Delivery.objects.get()
    assert (row.status, row.answer) == ("waiting", "")
    assert "bytes" in row.problem

    receiver.answer = lambda request: reply(request, 200, b"x" * 2**16)
    due()
    hooks_deliver()
    row.refresh_from_db()
    assert (row.status, len(row.answer)) == ("delivered", 500)


def test_private_addresses_are_refused_when_registered_and_when_sent(receiver: Receiver, settings: Any) -> None:
    hook = made(receiver.url).webhook
    webhook_ping(webhook=hook)
    settings.TOUCHSTONE_OUTBOUND_ALLOW = ()
    refused = [
        "http://example.org/", "https://127.0.0.1/x", "https://[::1]/", "https://169.254.169.254/", "ftp://x",
        "https://user:pw@example.org/", "https://example.org:22/", "https://e.org/" + "a" * 500, "https://",
    ]  # fmt: skip
    for url in refused:
        with pytest.raises(UserError, match="cannot be sent"):
            made(url)

    hooks_deliver()  # the name in it may mean another address by now: it is checked where it is dialled

    assert receiver.got == []
    assert "not a public address" in Delivery.objects.get().problem


def test_one_slow_address_holds_up_nobody_else(receiver: Receiver) -> None:
    slow, quick = made(receiver.url).webhook, made(receiver.url + "?quick").webhook
    for _ in range(3):
        webhook_ping(webhook=slow)
        webhook_ping(webhook=quick)

    def answer(request: Any) -> None:
        reply(request, 200 if "quick" in request.path else 500)

    receiver.answer = answer
    hooks_deliver()
    assert Delivery.objects.filter(webhook=quick, status="delivered").count() == 3
    assert Delivery.objects.filter(webhook=slow).exclude(attempts=0).count() == 1  # it rests


@pytest.mark.django_db(transaction=True)
def test_two_senders_send_each_message_once(receiver: Receiver) -> None:
    for _ in range(4):
        webhook_ping(webhook=made(receiver.url).webhook)
    assert sum(together([hooks_deliver, hooks_deliver])) == 4
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == len(receiver.got) == 4


def test_a_sender_that_died_is_made_good(receiver: Receiver) -> None:
    webhook_ping(webhook=made(receiver.url).webhook)
    Delivery.objects.update(attempts=1, next_at=now() + timedelta(seconds=60))  # claimed, and its process is gone
    assert hooks_deliver() == 0
    due()
    assert hooks_deliver() == 1
    assert Delivery.objects.get().status == "delivered"


def test_one_that_is_asked_for_while_it_is_sent_is_sent_again_at_once(receiver: Receiver) -> None:
    webhook_ping(webhook=made(receiver.url).webhook)
    row = Delivery.objects.get()
    taken = delivering._claim()
    delivery_again(delivery=row)

    delivering._record(taken[0], delivering._Answer("It answered 500.", 500))

    row.refresh_from_db()
    assert (row.status, row.attempts) == ("waiting", 0)
    assert row.next_at is not None
    assert row.next_at <= now()
    assert hooks_deliver() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("act", ["again", "delete"])
def test_what_an_owner_does_while_it_is_sent_never_deadlocks(receiver: Receiver, act: str) -> None:
    hook = made(receiver.url).webhook
    webhook_ping(webhook=hook)
    taken = delivering._claim()
    met = threading.Barrier(2)

    def record() -> None:
        with transaction.atomic():
            Webhook.objects.select_for_update(no_key=True).get(pk=hook.pk)
            met.wait(5)
            time.sleep(0.2)  # the other one has taken its first lock, or waits for it
            delivering._record(taken[0], delivering._Answer("It answered 500.", 500))

    def do() -> None:
        met.wait(5)
        if act == "again":
            delivery_again(delivery=taken[0])
        else:
            webhook_delete(webhook=hook, by=hook.owner)

    assert [error for error in together([record, do]) if isinstance(error, Exception)] == []


def test_who_organises_no_more_is_not_sent_what_waited(receiver: Receiver) -> None:
    competition, helper = competition_make(), user_make()
    competition.organisers.add(helper)
    hook = webhook_create(user=helper, url=receiver.url, events=["board.changed"], competition=competition).webhook
    webhook_ping(webhook=hook)
    competition.organisers.remove(helper)
    assert hooks_deliver() == 0
    competition.organisers.add(helper)
    assert hooks_deliver() == 1
    User.objects.filter(pk=helper.pk).update(is_active=False)
    delivery_again(delivery=Delivery.objects.get())
    assert hooks_deliver() == 0


def test_a_secret_that_no_key_opens_is_told(receiver: Receiver, settings: Any) -> None:
    webhook_ping(webhook=made(receiver.url).webhook)
    Webhook.objects.update(secret="gAAAAA-not-ours")
    assert hooks_deliver() == 1
    assert "rotate" in Delivery.objects.get().problem
    assert receiver.got == []


def test_secrets_are_sealed_anew_before_an_old_key_goes(receiver: Receiver, settings: Any) -> None:
    settings.TOUCHSTONE_CREDENTIAL_KEYS = ("old key " * 5,)
    new = webhook_rotate(webhook=made(receiver.url).webhook, by=user_make())
    stale = webhook_rotate(webhook=made(receiver.url).webhook, by=user_make()).webhook
    Webhook.objects.filter(pk=stale.pk).update(old_until=now() - timedelta(hours=1))
    settings.TOUCHSTONE_CREDENTIAL_KEYS = ("new key " * 5, "old key " * 5)

    call_command("secrets_reseal")

    settings.TOUCHSTONE_CREDENTIAL_KEYS = ("new key " * 5,)
    webhook_ping(webhook=new.webhook)
    hooks_deliver()
    headers, body = receiver.got[0]
    assert Verifier(new.secret).verify(body, headers)["type"] == "ping"
    assert len(headers["webhook-signature"].split()) == 2
    assert Webhook.objects.get(pk=stale.pk).old_secret == ""
    settings.TOUCHSTONE_CREDENTIAL_KEYS = ("another " * 5,)
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("secrets_reseal")


def test_limits(receiver: Receiver) -> None:
    user, hook = user_make(), made(receiver.url).webhook
    for _ in range(10):
        webhook_create(user=user, url=receiver.url, events=["submission.scored"])
        webhook_ping(webhook=hook)
    with pytest.raises(Conflict):
        webhook_create(user=user, url=receiver.url, events=["submission.scored"])
    with pytest.raises(Conflict):
        webhook_ping(webhook=hook)
    for events in ([], ["board.changed"], ["none"]):
        with pytest.raises(UserError):
            webhook_create(user=user_make(), url=receiver.url, events=events)
    with pytest.raises(NotAllowed):
        webhook_create(user=user, url=receiver.url, events=["board.changed"], competition=competition_make())


def test_old_messages_are_forgotten(receiver: Receiver) -> None:
    hook = made(receiver.url).webhook
    for _ in range(2):
        webhook_ping(webhook=hook)
    hooks_deliver()
    Delivery.objects.filter(pk=Delivery.objects.first().pk).update(created_at=now() - timedelta(days=31))
    assert deliveries_forget() == 1
    assert Delivery.objects.count() == 1
