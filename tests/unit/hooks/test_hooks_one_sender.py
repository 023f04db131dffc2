"""One process sends at a time, and no message waits because of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.factories.https_server import reply
from tests.factories.server import user_make
from tests.factories.threads import together
from tests.unit.hooks.conftest import Receiver
from touchstone.hooks import delivering
from touchstone.hooks.delivering import hooks_deliver
from touchstone.hooks.models import Delivery, Webhook
from touchstone.hooks.services import webhook_create, webhook_ping

pytestmark = pytest.mark.django_db


def listening(url: str) -> Webhook:
    return webhook_create(user=user_make(), url=url, events=["submission.scored"]).webhook


@pytest.mark.django_db(transaction=True)
def test_one_sends_and_the_others_go_away(receiver: Receiver) -> None:
    first, second = listening(receiver.url), listening(receiver.url)
    webhook_ping(webhook=first)
    arrived, go = threading.Event(), threading.Event()

    def answer(request: Any) -> None:
        arrived.set()
        go.wait(5)
        reply(request, 204)

    def other() -> int:
        arrived.wait(5)
        webhook_ping(webhook=second)
        count = hooks_deliver()
        go.set()
        return count

    receiver.answer = answer
    assert together([hooks_deliver, other]) == [2, 0]


def test_a_message_that_comes_while_the_lock_is_let_go_is_sent(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook, alone = listening(receiver.url), delivering._alone

    @contextmanager
    def late() -> Iterator[bool]:
        with alone() as held:
            yield held
            if not Delivery.objects.exists():
                webhook_ping(webhook=hook)  # after the last look; whoever is woken by it is turned away

    monkeypatch.setattr(delivering, "_alone", late)
    assert hooks_deliver() == 1


def test_who_has_sent_for_long_lets_other_tasks_go_first(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    webhook_ping(webhook=listening(receiver.url))
    monkeypatch.setattr(delivering, "_BUDGET_SECONDS", 0.0)
    with django_capture_on_commit_callbacks() as asked:
        assert hooks_deliver() == 0
    assert len(asked) == 1  # it is woken again
    Delivery.objects.all().delete()
    with django_capture_on_commit_callbacks() as asked:
        hooks_deliver()
    assert asked == []
