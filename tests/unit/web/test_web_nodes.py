"""The page of nodes and queues, and what staff can do there."""

from __future__ import annotations

import pytest

from tests.factories.server import node_make, user_make
from touchstone.core.clock import now
from touchstone.evaluations.models import Node

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(world, client):
    client.force_login(user_make("boss", is_staff=True))
    return client


def page(client) -> str:
    answer = client.get("/nodes/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_everybody_sees_the_queues_and_nobody_else_the_nodes(world) -> None:
    node_make("secret-name")
    html = page(world.client("stranger"))
    assert "Queues" in html
    assert "<code>cpu</code>" in html
    assert "secret-name" not in html


def test_staff_sees_what_each_node_is(staff) -> None:
    node_make(
        "big-1", cpus=64, memory=2**38, calibration=1.5e9, slots=3, version="1.2",
        gpus=({"uuid": "GPU-7", "name": "A Device", "memory": 2**34},),
    )  # fmt: skip
    html = page(staff)
    for text in ("big-1", "Ready", "64 CPUs, 256 GiB", "A Device, 16 GiB", "1.5 G multiply-adds", "3 slots free"):
        assert text in html, text
    assert "does not enforce: disk" in html
    assert 'href="/nodes/big-1/drain/"' in html
    assert "Release" not in html


def test_a_node_in_quarantine_says_why_and_can_be_released(staff) -> None:
    node = node_make("sick-1")
    Node.objects.filter(pk=node.pk).update(quarantined_at=now(), quarantine_reason="3 runs <failed>")
    html = page(staff)
    assert "In quarantine" in html
    assert "3 runs &lt;failed&gt;" in html

    asked = staff.get("/nodes/sick-1/release/").content.decode()
    assert "Mend first what put it there." in asked
    node.refresh_from_db()
    assert node.quarantined_at is not None  # asking does nothing

    done = staff.post("/nodes/sick-1/release/", follow=True).content.decode()
    node.refresh_from_db()
    assert node.quarantined_at is None
    assert "sick-1: is out of quarantine." in done


@pytest.mark.parametrize("act", ["drain", "undrain", "release", "disable"])
def test_who_is_not_staff_can_do_nothing(world, act: str) -> None:
    node_make("one")
    for method in ("get", "post"):
        assert getattr(world.client("organiser"), method)(f"/nodes/one/{act}/").status_code == 403
    node = Node.objects.get(name="one")
    assert (node.drained_at, node.disabled_at) == (None, None)


def test_draining_and_back(staff) -> None:
    node_make("one")
    staff.post("/nodes/one/drain/")
    html = page(staff)
    assert "Drained" in html
    assert 'href="/nodes/one/undrain/"' in html
    staff.post("/nodes/one/undrain/")
    assert "Ready" in page(staff)
    assert staff.post("/nodes/one/explode/").status_code == 404
    assert staff.post("/nodes/none/drain/").status_code == 404


def test_the_table_alone_for_a_page_that_is_open(staff) -> None:
    html = staff.get("/nodes/", headers={"HX-Request": "true"}).content.decode()
    assert html.lstrip().startswith('<div id="nodes"')
    assert "<html" not in html


def test_before_there_is_a_node(world, client) -> None:
    Node.objects.all().delete()
    client.force_login(user_make("boss", is_superuser=True))
    assert "manage.py node create" in page(client)


def test_what_does_not_apply_is_refused_and_disabling_is_offered(staff) -> None:
    node = node_make("one")
    assert 'href="/nodes/one/disable/"' in page(staff)
    for act, text in (("release", "one is not in quarantine."), ("undrain", "one is not drained.")):
        for method in (staff.get, staff.post):
            answer = method(f"/nodes/one/{act}/")
            assert (answer.status_code, text in answer.content.decode()) == (409, True)
    assert "token is refused" in staff.get("/nodes/one/disable/").content.decode()
    assert staff.post("/nodes/one/disable/").status_code == 302
    node.refresh_from_db()
    assert node.disabled_at is not None
    assert staff.post("/nodes/one/drain/").status_code == 409
