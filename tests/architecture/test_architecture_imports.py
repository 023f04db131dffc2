"""Who may import whom, beyond what import-linter can say (`.importlinter`, run by `make check`)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ("runners.spec", "runners.contract")
#: What metrics will ask, told from the catalogue alone: typed and light too, and of no use to the client.
SERVERS_OWN = ("runners.costs", "runners.forecast", "runners.outbound")
#: `touchstone validate` and `touchstone test` are the server's own checks and judge: inside functions, never at start.
LOCAL = {
    "client/touchstone_client/checking.py": ("runners.intake", "runners.data.split"),
    "client/touchstone_client/trying.py": ("runners.judge", "runners.engines", "runners.errors"),
}
UNPICKLING_CALLS = ("torch.load(", "allow_pickle=True")
FIELD_LIBRARIES = {"art", "aif360"}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) for each import of a file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def files(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, f"no Python file under {folder}: the test would say nothing"
    return found


@pytest.mark.parametrize(
    ("folder", "shared"), [("platform/touchstone", SHARED + SERVERS_OWN), ("client/touchstone_client", SHARED)]
)
def test_only_the_contract_is_shared(folder: str, shared: tuple[str, ...]) -> None:
    """Server and client take from `runners` only what is typed and light."""
    found = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in files(folder)
        for line, module in imports(path)
        if module.split(".")[0] == "runners"
        and not module.startswith((*shared, *LOCAL.get(str(path.relative_to(ROOT)), ())))
    ]

    assert found == []


def test_field_libraries_are_imported_by_adapters_only() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in files("runners")
        if not path.is_relative_to(ROOT / "runners" / "adapters")
        for line, module in imports(path)
        if module.split(".")[0] in FIELD_LIBRARIES
    ]

    assert found == []


def test_nothing_is_unpickled() -> None:
    """`pickle`, `torch.load` and friends run code from the file. Data and models come in formats that cannot."""
    banned = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    calls = []
    for folder in ("runners", "platform/touchstone", "client/touchstone_client"):
        for path in files(folder):
            calls += [
                f"{path.relative_to(ROOT)}:{line}: {module}"
                for line, module in imports(path)
                if module.split(".")[0] in banned
            ]
            text = path.read_text()
            calls += [f"{path.relative_to(ROOT)}: {call}" for call in UNPICKLING_CALLS if call in text]

    assert calls == []
