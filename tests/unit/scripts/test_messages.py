"""The catalogues of translated texts: whole, and what would be told if they were not."""

from __future__ import annotations

from pathlib import Path

import polib
import pytest

from scripts.messages import __main__ as command
from scripts.messages import catalogue
from scripts.messages.extract import Message, NotLiteral, in_catalogue, in_python, in_template, messages


def test_every_text_of_the_pages_is_translated() -> None:
    """`make messages` adds what is missing here; a person then translates it."""
    told = command.faults("de")
    assert not told, "\n".join(told[:40])


def found(source: str) -> list[Message]:
    head = "from django.utils.translation import gettext as _\nfrom django.utils.translation import ngettext\n"
    return list(in_python(head + source, "a.py"))


def test_texts_are_found_in_python() -> None:
    assert found('_("one" " text")\nngettext("%d run", "%d runs", n)\n_(title)\nother("no")') == [
        Message("one text"),
        Message("%d run", "%d runs"),
    ]
    with pytest.raises(NotLiteral, match=r"a\.py:3"):
        found('_(f"{n} runs")')


def test_texts_are_found_in_templates() -> None:
    source = (
        "{% load i18n %}{% translate 'It\\'s' %}{{ x|default:_(\"none\") }}"
        "{% blocktranslate count n=n %}{{ n }} run, 5 %{% plural %}{{ n }} runs, 5 %{% endblocktranslate %}"
    )
    source = source.replace("'It\\'s'", '"It\'s"')
    assert list(in_template(source)) == [
        Message("It's"),
        Message("none"),
        Message("%(n)s run, 5 %%", "%(n)s runs, 5 %%"),
    ]


def test_texts_are_found_in_the_catalogue_of_metrics() -> None:
    source = '{"metrics": {"a": {"title": "T", "unit": "", "formula": "f", "columns": {"": {"title": "C"}}}}}'
    assert list(in_catalogue(source)) == [Message("T"), Message("C")]


def test_a_text_with_and_without_a_plural_is_one(tmp_path: Path) -> None:
    head = "from django.utils.translation import gettext as _, ngettext\n"
    (tmp_path / "a.py").write_text(head + '_("day")')
    (tmp_path / "b.py").write_text(head + 'ngettext("day", "days", 2)')
    (tmp_path / "c.json").write_text("{}")
    assert messages(tmp_path, tmp_path / "c.json") == {Message("day", "days"): ["a.py", "b.py"]}


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (polib.POEntry(msgid="Go", msgstr="Los"), []),
        (polib.POEntry(msgid="Go", msgstr=""), ["not translated"]),
        (polib.POEntry(msgid="Go", msgstr="Los", flags=["fuzzy"]), ["fuzzy"]),
        (polib.POEntry(msgid="Stop", msgstr="Halt"), ["used nowhere", "missing"]),
        (polib.POEntry(msgid="Go %(n)s", msgstr="Los %(m)s"), ["other placeholders"]),
        (polib.POEntry(msgid="{n} %", msgstr="{n}"), []),
        (polib.POEntry(msgid="{n} 5 %%", msgstr="{m} 5 %%"), ["other placeholders"]),
        (polib.POEntry(msgid="a\n", msgstr="b"), ["other line ends"]),
        (polib.POEntry(msgid="%d a", msgid_plural="%d b", msgstr_plural={0: "ein", 1: "%d b"}), ["other placeholders"]),
        (polib.POEntry(msgid="one a", msgid_plural="%d b", msgstr_plural={0: "%d a", 1: "%d b"}), []),
        (polib.POEntry(msgid="%d a", msgid_plural="%d b", msgstr_plural={0: "%d a", 1: ""}), ["not translated"]),
    ],
)
def test_what_is_wrong_with_a_translation(entry: polib.POEntry, told: list[str]) -> None:
    wanted = {Message("Go" if entry.msgid == "Stop" else entry.msgid, entry.msgid_plural): ["a.py"]}
    found = polib.POFile()
    found.append(entry)
    assert [text.partition(":")[0] for text in catalogue.faults(wanted, found)] == told


def test_an_update_keeps_translations_and_drops_what_is_used_nowhere() -> None:
    old = polib.POFile()
    old.append(polib.POEntry(msgid="Go", msgstr="Los", tcomment="a button"))
    old.append(polib.POEntry(msgid="Gone", msgstr="Weg"))
    fresh = catalogue.merged({Message("Go"): ["a.py"], Message("New"): ["b.py"]}, old, language="de")
    assert [(entry.msgid, entry.msgstr, entry.tcomment) for entry in fresh] == [
        ("Go", "Los", "a button"),
        ("New", "", ""),
    ]
    assert catalogue.text_of(fresh) == catalogue.text_of(polib.pofile(catalogue.text_of(fresh), wrapwidth=0))
