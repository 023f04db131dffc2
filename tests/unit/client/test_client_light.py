"""The command line starts quickly: nothing heavy is imported before a command needs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

#: pydantic is not here: typer itself uses it.
HEAVY = ("torch", "django", "numpy", "pandas", "pyarrow", "PIL", "httpx", "rich", "ruamel", "onnx", "celery")
_PROBE = """
import json, sys
from touchstone_client.cli import app
from typer.testing import CliRunner
result = CliRunner().invoke(app, {arguments!r})
print(json.dumps([result.exit_code, sorted({{name.split(".")[0] for name in sys.modules}})]))
"""


_ROOT = Path(__file__).resolve().parents[3]


def _run(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'client'}"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return ran.stdout


def _loaded(*arguments: str) -> tuple[int, set[str]]:
    code, modules = json.loads(_run(_PROBE.format(arguments=list(arguments))))
    return code, set(modules)


def test_help_imports_nothing_heavy() -> None:
    code, modules = _loaded("--help")
    assert code == 0
    assert "typer" in modules
    assert modules & set(HEAVY) == set()


def test_the_version_imports_next_to_nothing() -> None:
    probe = (
        "import sys, json; before = set(sys.modules); sys.argv = ['touchstone', '--version']\n"
        "from touchstone_client.start import main\nmain()\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    )
    said, listed = _run(probe).splitlines()
    assert said.startswith("touchstone ")
    loaded = set(json.loads(listed))
    assert loaded <= {"touchstone_client", "touchstone_client.start", "touchstone_client.version", "typing"} | {
        name for name in loaded if name.partition(".")[0] in sys.stdlib_module_names
    }
    assert len(loaded) < 30, loaded


def test_usage_error_imports_nothing_heavy() -> None:
    code, modules = _loaded("leaderboard", "a/b/c", "--csv", "--json")
    assert code == 2
    assert modules & set(HEAVY) == set()


def test_sdk_needs_no_platform() -> None:
    probe = (
        "import sys; from touchstone_client import Client, ClientError; print(*{n.split('.')[0] for n in sys.modules})"
    )
    modules = set(_run(probe).split())
    assert "httpx" in modules
    assert not modules & {"torch", "django", "numpy", "pandas", "pyarrow", "touchstone", "runners", "celery"}


def test_the_names_of_the_package() -> None:
    import touchstone_client
    from touchstone_client.errors import ClientError
    from touchstone_client.sdk import Client

    assert touchstone_client.Client is Client
    assert touchstone_client.ClientError is ClientError
    with pytest.raises(AttributeError, match="absent"):
        _ = touchstone_client.absent
