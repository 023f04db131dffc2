"""Checks of a folder before it is built: its Dockerfile and its main.py. Standard library only."""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import Path

from touchstone_client.errors import Detail

#: An instruction and what follows it, with continued lines joined.
_WORDS = re.compile(r"\s*([A-Za-z]+)(?:\s+(.*))?", re.DOTALL)
_PLATFORM = re.compile(r"--platform=(\S+)")
_SECRET = re.compile(r"\bts_[A-Za-z0-9]+_[A-Za-z0-9_-]{8,}")
Instruction = tuple[int, str, str]


def check_container_folder(folder: Path, *, root_images: bool) -> list[Detail]:
    """Defects of a folder that an image is built from."""
    path = folder / "Dockerfile"
    if not path.is_file():
        text = "there is no Dockerfile"
        return [Detail(text, file="Dockerfile", code="no_dockerfile", hint="Write one: touchstone init")]
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        return [Detail(f"cannot be read: {error}", file="Dockerfile", code="unreadable", hint="Save it as UTF-8.")]
    found = list(_instructions(lines))
    return [*_rules(found, folder, root_images), *_secrets(lines), *(check_main(folder) if _copies_main(found) else [])]


def check_main(folder: Path) -> list[Detail]:
    """Whether main.py, where there is one, is Python."""
    path = folder / "main.py"
    if not path.is_file():
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(path.read_bytes(), filename="main.py")
    except SyntaxError as error:
        text = f"main.py is not valid Python: {error.msg}"
        column = max(error.offset or 1, 1)
        return [Detail(text, file="main.py", line=error.lineno or 1, column=column, hint="Correct it.", code="syntax")]
    except (ValueError, RecursionError) as error:
        return [Detail(f"cannot be read as Python: {error}", file="main.py", hint="Make it simpler.", code="syntax")]
    return []


def _instructions(lines: list[str]) -> list[Instruction]:
    """(line, NAME, rest) of each instruction."""
    found: list[Instruction] = []
    text, began = "", 0
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith("#") or (not text and not line.strip()):
            continue
        began = began or number
        text += line.rstrip()
        if text.endswith("\\"):
            text = text[:-1] + " "
            continue
        words = _WORDS.fullmatch(text)
        if words is not None:
            found.append((began, words[1].upper(), (words[2] or "").strip()))
        text, began = "", 0
    return found


def _rules(found: list[Instruction], folder: Path, root_images: bool) -> list[Detail]:
    froms = [item for item in found if item[1] == "FROM"]
    if not froms:
        return [_defect(1, "there is no FROM", "Begin with a base image, such as FROM touchstone/base:1.", "no_from")]
    last = [item for item in found if item[0] >= froms[-1][0]]
    defects = [
        _defect(
            line, f"the image is for {asked[1]}, the nodes run linux/amd64", "Leave out --platform.", "architecture"
        )
        for line, _, rest in froms
        if (asked := _PLATFORM.search(rest)) and asked[1] not in ("linux/amd64", "$TARGETPLATFORM", "$BUILDPLATFORM")
    ]
    defects += [
        _defect(line, "VOLUME: a sandbox writes /tmp only", "Leave VOLUME out.", "volumes")
        for line, name, _ in last
        if name == "VOLUME"
    ]
    started = any(name in ("CMD", "ENTRYPOINT") for _, name, _ in last)
    if not started and froms[-1][2].split()[-1:] == ["scratch"]:
        text = "there is neither CMD nor ENTRYPOINT, so nothing would start"
        defects.append(_defect(last[-1][0], text, 'Add CMD ["python", "main.py"].', "no_command"))
    users = [item for item in last if item[1] == "USER"]
    if users and not root_images and users[-1][2].split(":")[0] in ("0", "root"):
        text = "the image's user is root; this competition takes no such images"
        defects.append(_defect(users[-1][0], text, "End with USER 65534:65534.", "root_user"))
    return defects + [
        item for line, name, rest in found if name in ("COPY", "ADD") for item in _copied(line, rest, folder)
    ]


def _copied(line: int, rest: str, folder: Path) -> list[Detail]:
    """Sources that are not in the folder. Those of other stages, patterns, variables and addresses are passed over."""
    if rest.startswith("[") or "--from" in rest or "<<" in rest:
        return []
    words = [word for word in rest.split() if not word.startswith("--")]
    names = [word for word in words[:-1] if not re.search(r"[*?$\[]|://", word)]
    return [
        _defect(line, f"{name} is not in the folder", "Copy what is there, or put it there.", "missing_source")
        for name in names
        if not (folder / name.lstrip("/")).exists()
    ]


def _secrets(lines: list[str]) -> list[Detail]:
    hint = "Take it out and revoke it on your account page: everybody who has the image could read it."
    return [
        _defect(number, "a token of the platform stands in the file", hint, "secret")
        for number, line in enumerate(lines, start=1)
        if _SECRET.search(line)
    ]


def _copies_main(found: list[Instruction]) -> bool:
    return any(name in ("COPY", "ADD") and ("main.py" in rest or rest.startswith(".")) for _, name, rest in found)


def _defect(line: int, message: str, hint: str, code: str) -> Detail:
    return Detail(message, file="Dockerfile", line=line, hint=hint, code=code)
