"""Fields of the wizard's steps. A field is named after its place in competition.yml (`phases[0].closes`).

What was typed is stored as it was typed where it cannot be read, so that nobody loses it and the validator can say
what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise

from runners.spec import Defect
from touchstone.web.templatetags.wizard import field_id

Text = str | Promise
Loc = tuple[str | int, ...]

_PART = re.compile(r"([^.\[\]]+)|\[(\d{1,4})\]")


@dataclass(frozen=True)
class Input:
    """One field. `kind`: text, area, markdown, number, time, select, check, checks."""

    name: str
    label: Text
    value: Any = ""
    kind: str = "text"
    help: Text = ""
    choices: Sequence[tuple[str, Text]] = ()
    rows: int = 3
    optional: bool = False
    wide: bool = False
    limit: int = 0
    errors: Sequence[Defect] = field(default_factory=tuple)

    @property
    def id(self) -> str:
        return field_id(self.name)

    @property
    def shown(self) -> str:
        """The value as text."""
        return "" if self.value is None else str(self.value)

    @property
    def chosen(self) -> list[str]:
        """Of `checks`, those that are set."""
        return [str(item) for item in self.value] if isinstance(self.value, list | tuple) else []


def errors_at(defects: Iterable[Defect], where: str) -> list[Defect]:
    """The defects of a place and of what lies below it."""
    return [d for d in defects if d.where == where or d.where.startswith((f"{where}.", f"{where}["))]


def posted(post: Mapping[str, Any], prefix: str) -> Any:
    """What a form says under a prefix, as mappings and lists: `phases[0].slug=a` → `[{"slug": "a"}]`.

    Rows whose number is missing are left out; line ends become those of the bundle.
    """
    tree: dict[str | int, Any] = {}
    for key in post:
        loc = _loc(key)
        if loc and loc[0] == prefix and len(loc) > 1:
            _put(tree, loc[1:], str(post[key]).replace("\r\n", "\n"))
    return _plain(tree)


def _loc(name: str) -> Loc:
    found: list[str | int] = []
    at = 0
    for match in _PART.finditer(name):
        if name[at : match.start()] not in ("", "."):
            return ()
        found.append(match[1] if match[1] is not None else int(match[2]))
        at = match.end()
    return tuple(found) if at == len(name) and len(found) <= 6 else ()


def _put(tree: dict[str | int, Any], loc: Loc, value: str) -> None:
    for part in loc[:-1]:
        inner = tree.get(part)
        if not isinstance(inner, dict):
            inner = tree[part] = {}
        tree = inner
    tree[loc[-1]] = value


def _plain(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    if tree and all(isinstance(key, int) for key in tree):
        return [_plain(tree[key]) for key in sorted(tree)]
    return {str(key): _plain(value) for key, value in tree.items()}


def rows_of(value: object) -> list[dict[str, Any]]:
    """The mappings of a list; nothing where a draft from somebody's file holds something else."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def table_of(value: object) -> dict[str, Any]:
    """A mapping; an empty one where somebody's form holds something else."""
    return value if isinstance(value, dict) else {}


def number(text: str) -> int | float | str | None:
    """A number as typed; nothing for an empty field, and the text itself where it is none."""
    text = text.strip()
    if not text:
        return None
    if re.fullmatch(r"[-+]?\d{1,15}", text):
        return int(text)
    return float(text) if re.fullmatch(r"[-+]?\d{0,15}\.\d{1,15}", text) else text


def words(text: str) -> list[str]:
    """Entries that stand one a line, or with commas between them."""
    return [part.strip() for part in re.split(r"[\n,]", text) if part.strip()]


def moved(rows: Any, post: Mapping[str, Any], name: str) -> list[Any]:
    """The rows after the button that was pressed: `remove`, `up` or `down` with `NAME[2]` as its value."""
    if not isinstance(rows, list):  # names of fields that no form of ours has
        return []
    for act in ("remove", "up", "down"):
        match = re.fullmatch(rf"{re.escape(name)}\[(\d{{1,4}})\]", post.get(act, ""))
        if match is None or int(match[1]) >= len(rows):
            continue
        at = int(match[1])
        rest = [*rows[:at], *rows[at + 1 :]]
        if act == "remove":
            return rest
        rest.insert(max(0, at - 1) if act == "up" else at + 1, rows[at])
        return rest
    return rows
