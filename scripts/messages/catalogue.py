"""A language's catalogue: what it should hold, what is wrong with it, and its compiled form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import polib

from scripts.messages.extract import Message

#: `%(name)s`, `%s`, `%d`, `%%`, and `{name}` of texts that scripts fill in.
_PLACEHOLDER = re.compile(r"%\(\w+\)[sdfr]|%[sd]|%%|\{\w+\}")
_HEAD = {
    "Project-Id-Version": "Touchstone",
    "MIME-Version": "1.0",
    "Content-Type": "text/plain; charset=UTF-8",
    "Content-Transfer-Encoding": "8bit",
}
PLURALS = {"de": "nplurals=2; plural=(n != 1);"}


def read(path: Path) -> polib.POFile:
    return polib.pofile(str(path), wrapwidth=0)


def merged(found: Mapping[Message, list[str]], old: polib.POFile | None, *, language: str) -> polib.POFile:
    """A catalogue of what was found, with the translations that `old` has; what is used nowhere is left out."""
    known = {(entry.msgid, entry.msgid_plural): entry for entry in old or []}
    catalogue = polib.POFile(wrapwidth=0)
    catalogue.metadata = {**_HEAD, "Language": language, "Plural-Forms": PLURALS[language]}
    for message, names in found.items():
        before = known.get((message.text, message.plural))
        catalogue.append(_entry(message, names, before))
    return catalogue


def _entry(message: Message, names: list[str], before: polib.POEntry | None) -> polib.POEntry:
    entry = polib.POEntry(
        msgid=message.text,
        msgid_plural=message.plural,
        msgstr=before.msgstr if before else "",
        occurrences=[(name, "") for name in names],
        tcomment=before.tcomment if before else "",
    )
    if message.plural:
        entry.msgstr_plural = dict(before.msgstr_plural) if before else {0: "", 1: ""}
    if "%(" in message.text or "%s" in message.text or "%d" in message.text:
        entry.flags.append("python-format")
    if before and before.fuzzy:
        entry.flags.append("fuzzy")
    return entry


def faults(found: Mapping[Message, list[str]], catalogue: polib.POFile) -> Iterator[str]:
    """What a reader would meet: texts that are missing, unsure, used nowhere, or lose a placeholder."""
    known = {(entry.msgid, entry.msgid_plural): entry for entry in catalogue}
    wanted = {(message.text, message.plural) for message in found}
    yield from (f"used nowhere: {text!r}" for text, plural in known if (text, plural) not in wanted)
    for message, names in found.items():
        entry = known.get((message.text, message.plural))
        if entry is None:
            yield f"missing: {message.text!r} ({names[0]})"
        elif entry.fuzzy:
            yield f"fuzzy: {message.text!r}"
        else:
            yield from _faults_of(entry)


def _faults_of(entry: polib.POEntry) -> Iterator[str]:
    if not entry.msgid_plural:
        pairs = [(entry.msgid, entry.msgstr)]
    else:
        forms = [entry.msgstr_plural.get(number, "") for number in range(2)]
        # A singular may say “one” where the plural names the number.
        pairs = [(entry.msgid_plural, forms[1])]
        if _placeholders(forms[0]) not in (_placeholders(entry.msgid), _placeholders(entry.msgid_plural)):
            yield f"other placeholders: {entry.msgid!r} → {forms[0]!r}"
        if not forms[0].strip():
            yield f"not translated: {entry.msgid!r}"
    for text, translated in pairs:
        if not translated.strip():
            yield f"not translated: {text!r}"
        elif _placeholders(text) != _placeholders(translated):
            yield f"other placeholders: {text!r} → {translated!r}"
        elif text.startswith("\n") != translated.startswith("\n") or text.endswith("\n") != translated.endswith("\n"):
            yield f"other line ends: {text!r} → {translated!r}"


def _placeholders(text: str) -> list[str]:
    return sorted(_PLACEHOLDER.findall(text))


def text_of(catalogue: polib.POFile) -> str:
    """The .po file; it has no dates, so that the same texts give the same file."""
    return str(catalogue).rstrip() + "\n"


def compiled(catalogue: polib.POFile) -> bytes:
    """The .mo file that Django reads."""
    return catalogue.to_binary()
