"""The shape of the repository: what must not exist, how large things may be, what must not be written down."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES = 400
MOST_FUNCTION_LINES = 60
#: Larger than the limit, and why.
LARGE_FILES: dict[str, str] = {}
LARGE_FUNCTIONS: dict[str, str] = {}
_LEFT_OUT = {".git", ".venv", "var", "__pycache__", "migrations", "node_modules", "build", "dist"}


@cache
def tracked() -> tuple[Path, ...]:
    """Every file of the repository that git would take, with or without a .git folder."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True
    )
    if listed.returncode == 0:
        names = [name for name in listed.stdout.decode().split("\0") if name]
        return tuple(path for name in names if (path := ROOT / name).is_file())
    return tuple(_walk())


def _walk() -> Iterator[Path]:
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in _LEFT_OUT and not name.startswith(".")]
        yield from (Path(folder) / name for name in names)


def sources() -> list[Path]:
    """Python files that people write."""
    return [path for path in tracked() if path.suffix == ".py" and "migrations" not in path.parts]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("folder", ["platform", "docker", "competitions"])
def test_folder_is_no_package(folder: str) -> None:
    """An `__init__.py` there would shadow the standard library, the Docker SDK, or the app of that name."""
    found = [name_of(path) for path in (ROOT / folder).rglob("__init__.py") if "touchstone" not in path.parts]

    assert found == []


def test_standard_library_platform_works_from_the_root() -> None:
    asked = subprocess.run(
        [sys.executable, "-c", "import platform; print(platform.system())"], cwd=ROOT, capture_output=True, text=True
    )

    assert asked.stdout.strip() == os.uname().sysname, asked.stderr


def test_tests_have_unique_names_and_are_no_packages() -> None:
    """pytest's default import mode takes test files by their base name."""
    files = [path for path in sources() if path.is_relative_to(ROOT / "tests")]
    names = [path.name for path in files if path.name.startswith("test_")]

    assert sorted({name for name in names if names.count(name) > 1}) == []
    assert [name_of(path) for path in files if path.name == "__init__.py"] == []


def test_files_are_small() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in sources()}
    large = {name: lines for name, lines in lengths.items() if lines > MOST_LINES}

    assert large.keys() == LARGE_FILES.keys(), "divide it, or name it in LARGE_FILES with the reason"


def test_functions_are_small() -> None:
    large = {
        f"{name_of(path)}:{node.name}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= MOST_FUNCTION_LINES
    }

    assert large == LARGE_FUNCTIONS.keys(), "divide it, or name it in LARGE_FUNCTIONS with the reason"


def test_assert_is_for_tests() -> None:
    """`python -O` removes asserts: what has to hold at run time raises. One that tells the type checker is fine."""
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in sources()
        if path.relative_to(ROOT).parts[0] in ("platform", "runners", "client")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert) and not _narrows(node.test)
    ]

    assert found == []


def _narrows(test: ast.expr) -> bool:
    """`x is not None` or `isinstance(x, T)`: said for the type checker."""
    if isinstance(test, ast.Compare):
        return isinstance(test.ops[0], ast.IsNot)
    return isinstance(test, ast.Call) and getattr(test.func, "id", "") == "isinstance"


def test_no_path_of_a_machine_is_written_down() -> None:
    """Home folders of whoever wrote a file, and the folder this checkout lies in."""
    homes = [r"/home/[a-z]+/", r"/Users/[A-Za-z]+/", r"/root/[a-z.]"]
    # A checkout right under the root, such as /app, has a name that means other things too.
    here = [re.escape(str(ROOT)) + r"\b"] if len(ROOT.parts) > 2 else []
    traces = re.compile("|".join(homes + here))
    itself = name_of(Path(__file__))
    found = []
    for path in tracked():
        if name_of(path) == itself:
            continue
        data = path.read_bytes()
        if b"\0" in data[:4096]:
            continue
        for number, line in enumerate(data.decode(errors="replace").splitlines(), start=1):
            if traces.search(line):
                found.append(f"{name_of(path)}:{number}: {line.strip()[:120]}")

    assert found == []


def test_nothing_is_left_undone() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    written = {".py", ".sh", ".html", ".js", ".css"}
    itself = Path(__file__)
    found = [
        f"{name_of(path)}:{number}"
        for path in tracked()
        if path.suffix in written and path != itself and "vendor" not in path.parts
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if marks.search(line)
    ]

    assert found == []
