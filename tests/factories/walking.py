"""Walking addresses in each role: the tables' notation, and what is wrong where an answer is another.

A table is a dict from address to seven words, one a role in the order of `tests.factories.world.ROLES`:

    "/s/{run}/": "login - ok ok ok ok -",

`ok` is 200, `-` is 404 (what one may not see is not there), another number is itself. `login` leads to the sign-in page
and back, `again` asks for the password once more, `>ADDRESS` leads there, and `>` alone anywhere. In an address,
`{run}` and its like are filled in by the test.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from django.test import Client

    from tests.factories.world import World

EVERYBODY = "ok ok ok ok ok ok ok"
SIGNED_IN = "login ok ok ok ok ok ok"
NOBODY = "- - - - - - -"
#: Who takes part and who organises.
INSIDERS = "- - ok ok ok ok -"
#: Who organises. Others see nothing there; somebody without a session is asked to sign in first.
ORGANISERS = "login - - - ok ok -"
#: The same, of an address that asks nobody to sign in.
ORGANISERS_ONLY = "- - - - ok ok -"
#: The one whose it is, their team, and the organisers.
TEAM = "login - ok ok ok ok -"
#: The team alone.
TEAM_ALONE = "login - ok ok - - -"
ACT = "405 405 405 405 405 405 405"


def wrong_answers(world: World, table: Mapping[str, str], places: Mapping[str, Any], **headers: Any) -> list[str]:
    """One line for each answer that is not what the table says."""
    from tests.factories.world import ROLES

    clients = {role: world.client(role, **headers) for role in ROLES}
    logging.getLogger("django.request").setLevel(
        logging.ERROR
    )  # else a failure drowns in what was refused as it should
    found = []
    for address, row in table.items():
        words = row.split()
        assert len(words) == len(ROLES), f"{address} has {len(words)} words, not one for each of {', '.join(ROLES)}"
        path = address.format(**places)
        for role, word in zip(ROLES, words, strict=True):
            said = answer(clients[role], path)
            if not _fits(word, said, path):
                found.append(f"{path} as {role}: {said}, and the table says {word}")
    return found


def answer(client: Client, path: str) -> str:
    """What a GET says, in the words of a table."""
    response = client.get(path)
    if response.streaming:
        b"".join(response.streaming_content)  # the file is closed at its end
    if response.status_code in (301, 302):
        return f">{response['Location']}"
    return {200: "ok", 404: "-"}.get(response.status_code, str(response.status_code))


def _fits(word: str, said: str, path: str) -> bool:
    if word == "login":
        return unquote(said) == f">/login/?next={path}"
    if word == "again":
        return said.startswith(">/reauthenticate/")
    return said.startswith(">") if word == ">" else said == word


def missing_rows(names: Iterable[tuple[str, str]], walked: set[str], examples: Mapping[str, str]) -> str:
    """What to add to a table so that each of `names` (name, pattern) has a row; "" where nothing is missing."""
    rows = []
    for name, pattern in names:
        if name in walked:
            continue
        for part, example in examples.items():
            pattern = pattern.replace(part, example)
        rows.append(f'    "/{pattern}": "anonymous stranger participant partner organiser helper staff",  # {name}')
    if not rows:
        return ""
    notation = "with one word for each role (ok, -, login, again, 405, >ADDRESS), or a constant of walking.py"
    return "\n".join([f"these addresses are walked by nobody; add rows, {notation}:", *rows])


_CHANGING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{16,64}\b"  # ids of requests
    r'|name="csrfmiddlewaretoken" value="\w+"|"?csrf-?token"?[^>]*>|nonce="[^"]*"|\b\d+(\.\d+)? m?s\b'
)


def words_of(client: Client, path: str, **headers: str) -> str:
    """Everything that an answer says, but for what each answer has of its own."""
    response = client.get(path, headers=headers)
    body = b"".join(response.streaming_content) if response.streaming else response.content
    told = [str(response.status_code), response.get("Location", ""), response.get("ETag", ""), body.decode("latin-1")]
    return _CHANGING.sub("…", "\n".join(told))


def told_apart(world: World, table: Mapping[str, str], places: Mapping[str, Any], *, slugs: Iterable[str]) -> list[str]:
    """Addresses whose 404 for somebody differs from that of a competition there has never been."""
    from tests.factories.world import ROLES

    clients = {role: world.client(role) for role in ROLES}
    logging.getLogger("django.request").setLevel(logging.ERROR)
    found = []
    for slug in slugs:
        other = "nothing" + slug[7:] if len(slug) > 7 else "nothing"
        front = next(row for address, row in table.items() if address.rstrip("/").endswith(f"/{slug}")).split()
        outsiders = [role for role, word in zip(ROLES, front, strict=True) if word == "-"]
        for address, row in table.items():
            if f"/{slug}" not in address:
                continue
            path = address.format(**places)
            for role, word in zip(ROLES, row.split(), strict=True):
                if word != "-" or role not in outsiders:
                    continue
                # The name that was asked for is all that may differ.
                real, none = (words_of(clients[role], p) for p in (path, path.replace(slug, other)))
                if real.replace(slug, "NAME") != none.replace(other, "NAME"):
                    found.append(f"{path} as {role} is told from one that does not exist")
    return found


def open_acts(
    world: World,
    table: Mapping[str, str],
    places: Mapping[str, Any],
    *,
    free: Iterable[str],
    everybody: Iterable[str] = (),
) -> list[str]:
    """Acts (addresses that answer a GET with 405) that somebody may do who has nothing to do with what they change.

    `free` are those that anybody who is signed in may do for themselves; `everybody` those for which nobody need be.
    """
    logging.getLogger("django.request").setLevel(logging.ERROR)
    found = []
    for role in ("anonymous", "stranger", "staff"):
        client = world.client(role)
        for address, row in table.items():
            if "405" not in row or address in everybody or (role != "anonymous" and address in free):
                continue
            path = address.format(**places)
            response = client.post(path)
            refused = response.status_code in (401, 403, 404, 405) or unquote(response.get("Location", "")).startswith(
                "/login/"
            )
            if not refused:
                found.append(f"POST {path} as {role}: {response.status_code}")
    return found
