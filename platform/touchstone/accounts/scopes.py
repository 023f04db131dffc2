"""What a token may do. `allows` decides; every operation of the interface asks it.

`read`, `submit` and `organise` reach everything that the person may do; `submit:<competition>` and
`organise:<competition>` reach one competition, and let their holder read there, for what was sent has to be followed.
`admin` is for the platform's staff, and includes none of the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

READ, SUBMIT, ORGANISE, ADMIN = "read", "submit", "organise", "admin"
NAMES = (READ, SUBMIT, ORGANISE, ADMIN)
#: Those that can be limited to one competition.
LIMITED = (SUBMIT, ORGANISE)
_SHAPE = re.compile(r"(submit|organise):(?=.{1,64}\Z)([a-z0-9]+(?:-[a-z0-9]+)*)")


def scope_parts(*, scope: str) -> tuple[str, str] | None:
    """(name, competition) of a scope; the competition is empty where it reaches all. None: there is no such scope."""
    if scope in NAMES:
        return scope, ""
    match = _SHAPE.fullmatch(scope)
    return (match[1], match[2]) if match else None


def scopes_sorted(*, scopes: Iterable[str]) -> list[str]:
    """Each once, in the order in which they are shown."""
    return sorted(set(scopes), key=lambda scope: (_place(scope.partition(":")[0]), scope))


def _place(name: str) -> int:
    return NAMES.index(name) if name in NAMES else len(NAMES)


def allows(scopes: Iterable[str], needed: str, competition: str | None = None) -> bool:
    """Whether `scopes` are enough for an operation that needs `needed`, of `competition` or (None) of no single one."""
    held = set(scopes)
    if needed in held:
        return True
    if competition is None:
        return False
    if needed == READ:
        return any(f"{name}:{competition}" in held for name in LIMITED)
    return needed in LIMITED and f"{needed}:{competition}" in held


def knows(scopes: Iterable[str], competition: str | None = None) -> bool:
    """Whether a token's holder is told more of it than anybody is: one with a scope that reaches it."""
    return any(allows(scopes, name, competition) for name in (READ, *LIMITED))


def competitions_of(scopes: Iterable[str], needed: str) -> frozenset[str] | None:
    """The competitions for which `scopes` are enough; None: for all."""
    held = list(scopes)
    if needed in held:
        return None
    names = LIMITED if needed == READ else (needed,)
    parts = [scope_parts(scope=scope) for scope in held]
    return frozenset(part[1] for part in parts if part and part[0] in names and part[1])
