"""Two versions of a step side by side, cut into parts that one chooses between."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: What an entry of a list is known by, so that the same entry is compared with itself wherever it stands.
_IDENTITIES = ("slug", "term", "name", "as", "use")
_GONE = object()

Path = tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """One part that differs. `text`: both are text, so that a third can be written from them."""

    number: int
    where: str
    theirs: str
    mine: str
    text: bool
    theirs_missing: bool
    mine_missing: bool


def differences(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> list[Difference]:
    """What differs between two bodies, in the order of mine."""
    found = []
    for number, (path, other, own) in enumerate(_pairs(theirs, mine)):
        text = _is_text(other, own)
        found.append(
            Difference(number, " › ".join(path), _shown(other), _shown(own), text, other is _GONE, own is _GONE)
        )
    return found


def _is_text(*values: Any) -> bool:
    return all(isinstance(value, str) or value is _GONE for value in values)


def merged(theirs: Mapping[str, Any], mine: Mapping[str, Any], choices: Mapping[str, str]) -> dict[str, Any]:
    """Mine, with what was chosen put in: `choice-N` is theirs, or text for the new one in `text-N`."""
    keep = choices.get("keep", "")
    if keep == "theirs":
        return dict(theirs)
    tree = _opened(mine)
    if keep != "mine":
        for number, (path, other, own) in enumerate(_pairs(theirs, mine)):
            choice = choices.get(f"choice-{number}", "mine")
            if choice == "theirs":
                _set(tree, path, _opened(other) if other is not _GONE else _GONE, theirs)
            elif choice == "text" and _is_text(other, own):
                _set(tree, path, choices.get(f"text-{number}", "").replace("\r\n", "\n"), theirs)
    return dict(_closed(tree))


class _Entries(dict[str, Any]):
    """A list as a mapping, so that its entries are found by what they are known by."""


def _opened(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _opened(item) for key, item in value.items()}
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        entries = _Entries()
        for item in value:
            name = _identity(item)
            while name in entries:
                name += " *"
            entries[name] = _opened(item)
        return entries
    return value


def _closed(value: Any) -> Any:
    if isinstance(value, _Entries):
        return [_closed(item) for item in value.values()]
    if isinstance(value, dict):
        return {key: _closed(item) for key, item in value.items()}
    return value


def _identity(item: Mapping[str, Any]) -> str:
    parts = [str(item[key]) for key in _IDENTITIES if isinstance(item.get(key), str) and item[key]]
    if item.get("attribute"):
        parts.append(str(item["attribute"]))
    return " ".join(parts) or "…"


def _pairs(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> list[tuple[Path, Any, Any]]:
    found: list[tuple[Path, Any, Any]] = []
    _compare((), _opened(theirs), _opened(mine), found)
    return found


def _compare(path: Path, theirs: Any, mine: Any, found: list[tuple[Path, Any, Any]]) -> None:
    if isinstance(theirs, _Entries) and not mine and isinstance(mine, list):
        mine = _Entries()  # a list that one of both emptied is compared entry by entry
    if isinstance(mine, _Entries) and not theirs and isinstance(theirs, list):
        theirs = _Entries()
    if isinstance(theirs, dict) and isinstance(mine, dict) and (path == () or (theirs or mine)):
        for key in [*mine, *(key for key in theirs if key not in mine)]:
            _compare((*path, key), theirs.get(key, _GONE), mine.get(key, _GONE), found)
    elif theirs != mine:
        found.append(
            (path, _closed(theirs) if theirs is not _GONE else _GONE, _closed(mine) if mine is not _GONE else _GONE)
        )


def _set(tree: dict[str, Any], path: Path, value: Any, theirs: Mapping[str, Any]) -> None:
    other = _opened(theirs)
    node: Any = tree
    for part in path[:-1]:
        inner, other = node.get(part), other.get(part) if isinstance(other, dict) else None
        if not isinstance(inner, dict):
            inner = node[part] = _Entries() if isinstance(other, _Entries) else {}
        node = inner
    if value is _GONE:
        node.pop(path[-1], None)
    else:
        node[path[-1]] = value


def _shown(value: Any) -> str:
    if value is _GONE:
        return ""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
