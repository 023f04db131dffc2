"""YAML with line numbers, read event by event.

Only plain data comes out: mappings with text keys, lists, text, numbers, true/false and nothing.
Times stay text (the models type them). Anchors, aliases, tags, directives, duplicate keys, several
documents and deep nesting are defects, so no file can name a Python type or grow while it is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from runners.spec.defects import Defect, Loc, path_text

MAX_BYTES = 2**20
MAX_DEPTH = 24
MAX_NODES = 50_000
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_ENDLESS = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass
class Document:
    """The data of a file, the line of each key path, and what was wrong on the way."""

    data: Any = None
    lines: dict[Loc, int] = field(default_factory=dict)
    defects: list[Defect] = field(default_factory=list)

    def line(self, loc: Loc) -> int | None:
        """Line of the nearest key at or above `loc`, from 1."""
        for length in range(len(loc), -1, -1):
            if loc[:length] in self.lines:
                return self.lines[loc[:length]]
        return None


class _Stop(Exception):
    """Reading cannot go on; the defect is already noted."""


def read_yaml(path: Path) -> Document:
    """Read one YAML file. Everything wrong with it is in `defects`; then `data` may be None."""
    document = Document()
    try:
        raw = _bounded(path)
        text = raw.decode("utf-8-sig")
    except OSError as error:
        document.defects.append(Defect("unreadable", f"cannot be read: {error.strerror}", file=path.name))
        return document
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        text = f"byte {error.start} is not UTF-8"
        document.defects.append(Defect("encoding", text, file=path.name, line=line, hint="Save the file as UTF-8."))
        return document
    if len(raw) > MAX_BYTES:
        text = f"the file has more than {MAX_BYTES // 2**20} MiB"
        hint = "Move long texts into pages and data into data splits."
        document.defects.append(Defect("too_large", text, file=path.name, hint=hint))
        return document
    return parse_yaml(text, file=path.name)


def _bounded(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def parse_yaml(text: str, *, file: str) -> Document:
    """Read YAML text; `file` is the name used in defects."""
    reader = _Reader(text, file)
    try:
        reader.read()
    except _Stop:
        reader.document.data = None
    except MarkedYAMLError as error:
        reader.document.data = None
        mark = error.problem_mark or error.context_mark
        message = " ".join(filter(None, (error.context, error.problem))) or "is not YAML"
        line = mark.line + 1 if mark else None
        hint = "Check indentation, quotes and brackets on this line and the one before."
        reader.document.defects.append(Defect("yaml", message, file=file, line=line, hint=hint))
    except YAMLError as error:
        reader.document.data = None
        position = getattr(error, "position", None)
        line = text[:position].count("\n") + 1 if isinstance(position, int) else None
        message = str(error).splitlines()[0]
        reader.document.defects.append(Defect("yaml", message, file=file, line=line, hint="Remove it."))
    except (ValueError, OverflowError):  # an escape or a directive whose number is none
        reader.document.data = None
        text = "an escape or a number in it cannot be read"
        hint = "Look for \\U, \\x and % in it, and remove them."
        reader.document.defects.append(Defect("yaml", text, file=file, hint=hint))
    return reader.document


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self.document = Document()
        self.file = file
        self.nodes = 0
        self.events: Iterator[Event] = iter(YAML(typ="safe", pure=True).parse(text))

    def read(self) -> None:
        started = False
        for event in self.events:
            if isinstance(event, StreamStartEvent):
                continue
            if isinstance(event, StreamEndEvent):
                break
            if not isinstance(event, DocumentStartEvent):
                continue
            if event.version or event.tags:
                self._note("directive", "a % directive is not allowed here", event, (), "Remove the line.")
            if started:
                self._note("documents", "a second document starts here", event, (), "Keep one: remove the ---.")
                raise _Stop
            started = True
            self.document.data = self._node(next(self.events), ())
        if not started:
            hint = "See the minimal example in docs/competition-format.md."
            self.document.defects.append(Defect("empty", "the file is empty", file=self.file, line=1, hint=hint))

    def _note(self, code: str, message: str, event: Event, loc: Loc, hint: str) -> None:
        line = event.start_mark.line + 1
        self.document.defects.append(Defect(code, message, path_text(loc), self.file, line, hint))

    def _node(self, event: Event, loc: Loc) -> Any:
        self.nodes += 1
        self.document.lines.setdefault(loc, event.start_mark.line + 1)
        if self.nodes > MAX_NODES or len(loc) > MAX_DEPTH:
            text = f"the file nests deeper than {MAX_DEPTH} levels or has more than {MAX_NODES} values"
            self._note("too_large", text, event, loc[:3], "Make it smaller.")
            raise _Stop
        if isinstance(event, AliasEvent):
            self._note("alias", f"*{event.anchor} refers to another place", event, loc, "Write the value out.")
            return None
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if anchor:
            self._note("anchor", f"&{anchor} marks a value for reuse", event, loc, "Remove the anchor.")
        if tag:
            self._note("tag", f"the tag {tag} is not allowed", event, loc, "Remove the tag; use quotes for text.")
        if isinstance(event, MappingStartEvent):
            return self._mapping(loc)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(loc)
        if isinstance(event, ScalarEvent):
            return self._scalar(event, loc)
        self._note("yaml", "a value is missing here", event, loc, "Add one.")
        raise _Stop

    def _sequence(self, loc: Loc) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self._node(event, (*loc, len(items))))
        return items

    def _mapping(self, loc: Loc) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            if not isinstance(event, ScalarEvent) or event.anchor:
                self._note("key", "a key must be plain text", event, loc, "Write `key: value`.")
                raise _Stop
            key = self._text(event, loc)
            where = (*loc, key)
            if key in items:
                first = self.document.lines[where]
                self._note("duplicate_key", f"the key stands twice (first in line {first})", event, where, "Keep one.")
                self._node(next(self.events), where)
                continue
            self.document.lines[where] = event.start_mark.line + 1
            items[key] = self._node(next(self.events), where)
        return items

    def _text(self, event: ScalarEvent, loc: Loc) -> str:
        """Text that a database and JSON can hold. Escapes may spell NUL and halves of characters."""
        try:
            text: str = event.value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            text = "\x00"
        if "\x00" in text:
            self._note("character", "the text holds NUL or half a character", event, loc, "Remove the escape.")
            return text.replace("\x00", "\ufffd")
        return text

    def _scalar(self, event: Any, loc: Loc) -> Any:
        text = self._text(event, loc)
        if event.style is not None:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text):
            return int(text)
        if _ENDLESS.fullmatch(text) or (_FLOAT.fullmatch(text) and not math.isfinite(float(text))):
            self._note("number", f"{text[:40]} is not a finite number", event, loc, "Write a number.")
            return None
        return float(text) if _FLOAT.fullmatch(text) else text
