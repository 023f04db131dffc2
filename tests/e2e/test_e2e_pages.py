"""Every page of the walk in a browser: no fault of accessibility, none wider than a phone, few scripts, a keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.urls import resolve

from tests.e2e.pagekit import DESK, by_keyboard, faults
from tests.factories.world import ROLES, World, world
from tests.unit.web.test_web_access import WALK, places

if TYPE_CHECKING:
    from django.test import Client
    from playwright.sync_api import Page

__all__ = ["world"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

#: Who looks at a page: the first of these who may. `ALSO` look different to somebody else.
_EYES = ("organiser", "participant", "anonymous")
ALSO = [
    ("anonymous", "/"), ("participant", "/"), ("anonymous", "/c/open-one/"), ("participant", "/c/open-one/"),
    ("participant", "/c/open-one/data/"), ("participant", "/c/open-one/submissions/"),
    ("participant", "/c/open-one/leaderboard/main/main/"), ("participant", "/s/{run}/"),
    ("stranger", "/c/open-one/join/"), ("anonymous", "/c/secret-one/"), ("staff", "/nodes/"),
    ("stranger", "/c/open-one/submissions/"),
]  # fmt: skip
MAIN = [
    ("anonymous", "/"), ("anonymous", "/login/"), ("anonymous", "/c/open-one/"), ("participant", "/c/open-one/submit/"),
    ("participant", "/s/{run}/"), ("anonymous", "/c/open-one/leaderboard/main/main/"),
    ("organiser", "/c/open-one/manage/"),
]  # fmt: skip


def pages(world: World) -> list[tuple[str, str]]:
    """Role and path of each page that is a page (not a file, a part of one or an act), once for each view."""
    filled = places(world)
    wanted: dict[str, tuple[str, str]] = {}
    for address, row in WALK.items():
        path = address.format(**filled)
        may = [role for role in _EYES if row.split()[ROLES.index(role)] == "ok"]
        if may:
            wanted.setdefault(resolve(path).view_name, (may[0], path))
    clients = {role: world.client(role) for role in ROLES}
    also = [(role, address.format(**filled)) for role, address in ALSO]
    return sorted({(role, path) for role, path in [*wanted.values(), *also] if _is_page(clients[role], path)})


def _is_page(client: Client, path: str) -> bool:
    response = client.get(path)
    body = b"".join(response.streaming_content) if response.streaming else response.content
    return response["Content-Type"].startswith("text/html") and b"<html" in body[:2000]


def become(page: Page, world: World, role: str) -> None:
    """Be somebody, without the sign-in page."""
    page.context.clear_cookies()
    cookie = world.client(role).cookies.get("sessionid")
    if cookie is not None:
        page.context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": world.live}])  # type: ignore[attr-defined]


def test_no_page_has_a_fault_sticks_out_of_a_phone_or_loads_much(open_page, world: World, live_server) -> None:
    world.live = live_server.url  # type: ignore[attr-defined]
    page = open_page(refused="404", viewport=DESK)
    seen, found = "", []
    for role, path in pages(world):
        if role != seen:
            become(page, world, role)
            seen = role
        page.goto(path)
        page.wait_for_load_state("load")
        found += [f"{path} as {role}: {fault}" for fault in faults(page)]
    assert not found, "\n".join(found)


def test_a_keyboard_reaches_everything_and_shows_where_it_is(open_page, world: World, live_server) -> None:
    world.live = live_server.url  # type: ignore[attr-defined]
    page = open_page(viewport=DESK)
    found = []
    for role, address in MAIN:
        become(page, world, role)
        path = address.format(**places(world))
        page.goto(path)
        found += [f"{path} as {role}: {fault}" for fault in by_keyboard(page)]
    assert not found, "\n".join(found)
