"""What the documentation tells people to type exists: commands, options and calls as they are written there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from touchstone_client.cli import app
from touchstone_client.sdk import Client

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs/ci").glob("*.md"), ROOT / "README.md"])
_FENCED = re.compile(r"^ *```[a-z]*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_COMMAND = get_command(app)
_INLINE = re.compile(r"`(touchstone [a-z][^`]*)`")


def commands(text: str) -> Iterator[str]:
    """Command lines of a page: in blocks and in the text, with what is continued on the next line."""
    blocks = "\n".join(_FENCED.findall(text)).replace("\\\n", " ")
    for line in blocks.splitlines():
        for part in re.split(r" && |; ", line):
            found = re.match(r"(?:\$ )?(touchstone [a-z].*)", part.strip())
            if found:
                yield found[1]
    yield from (found.replace("\n", " ") for found in _INLINE.findall(_FENCED.sub("", text)))


def wrong(line: str) -> str:
    """What is not so in a command line; empty where all of it is. `a|b` stands for one of them."""
    either = re.search(r" ((?:[a-z]+\|)+[a-z]+)(?= |$)", line)
    if either:
        return "".join(wrong(line.replace(either[1], word)) for word in either[1].split("|"))
    words = shlex.split(re.sub(r"\s+(#|>|→|\|) ?.*", "", line).replace("[", "").replace("]", "").replace("…", "X"))
    command: Any = _COMMAND
    words = words[1:]
    while words and hasattr(command, "commands"):
        if words[0] not in command.commands:
            group_alone = command.invoke_without_command or words[0].startswith("-") or not words[0].islower()
            return "" if group_alone else f"there is no command {words[0]!r}"
        command = command.commands[words.pop(0)]
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help"}
    unknown = [word for word in words if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known]
    return f"unknown: {', '.join(unknown)}" if unknown else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_and_options_exist(page: Path) -> None:
    found = {line: wrong(line) for line in commands(page.read_text())}
    assert {line: what for line, what in found.items() if what} == {}


def test_the_test_finds_what_is_wrong() -> None:
    assert wrong("touchstone submit garments x.csv --wait") == ""
    assert wrong("touchstone submitt garments") == "there is no command 'submitt'"
    assert wrong("touchstone submit garments x.csv --await") == "unknown: --await"
    page = "```\ntouchstone a \\\n  --b   # why\n```\nor `touchstone competition open X`"
    assert list(commands(page)) == ["touchstone a    --b   # why", "touchstone competition open X"]


def test_the_calls_of_the_sdk_exist() -> None:
    text = (ROOT / "docs/sdk.md").read_text()
    called = set(re.findall(r"client\.(\w+)\(", text)) | set(re.findall(r"`(\w+)\([^`]*\)`(?:,| \|)", text))
    missing = {name for name in called if not hasattr(Client, name)} - {"serve"}
    assert missing == set()
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        compile(block, "docs/sdk.md", "exec")


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "ci" or page.name in (
    "first-submission.md", "sdk.md", "submitting-containers.md", "index.md")], ids=lambda page: page.name)  # fmt: skip
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
