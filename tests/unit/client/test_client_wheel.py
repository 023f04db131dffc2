"""The wheel stands alone: it carries checks and judge, nothing of a node, and works without the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.unit.api.bundle_maker import write_bundle

ROOT = Path(__file__).resolve().parents[3]

#: Runs the command line from the wheel's files and the light dependencies only.
_ALONE = """
import sys
site, wheel, blocked, *arguments = sys.argv[1:]
blocked = set(filter(None, blocked.split(",")))
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path = [Block(), *(finder for finder in sys.meta_path if "editable" not in repr(finder))]
sys.path[:0] = [wheel]
sys.path.append(site)
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in blocked else found(name, package)
sys.argv = ["touchstone", *arguments]
from touchstone_client.cli import main
main()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in ("client", "runners"):
        shutil.copytree(ROOT / name, folder / "repo" / name, ignore=skip)
    subprocess.run(
        [
            sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation",
            "--disable-pip-version-check", "--wheel-dir", folder, folder / "repo" / "client",
        ],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    zipfile.ZipFile(built).extractall(folder / "site")
    return folder / "site"


def _alone(wheel: Path, *arguments: object, blocked: str) -> subprocess.CompletedProcess[str]:
    site = next(path for path in sys.path if path.endswith("site-packages"))
    command = [sys.executable, "-S", "-c", _ALONE, site, str(wheel), blocked, *map(str, arguments)]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, cwd=wheel)


def test_what_is_in_it(wheel: Path) -> None:
    names = {path.relative_to(wheel).as_posix() for path in wheel.rglob("*") if path.is_file()}
    assert {"touchstone_client/cli/__init__.py", "runners/spec/catalogue.json", "runners/contract.py"} <= names
    shared = {name.removeprefix("runners/") for name in names if name.startswith("runners/")}
    assert {"judge/run.py", "intake/code.py", "engines/docker.py", "channel/bridge.c"} <= shared
    assert not [name for name in shared if name.startswith("node/") or name == "worker.py" or "slurm" in name]
    assert {"touchstone_client/templates/common/main.py", "touchstone_client/templates/container/Dockerfile"} <= names
    entry = next(wheel.glob("*.dist-info")) / "entry_points.txt"
    assert "touchstone = touchstone_client.start:main" in entry.read_text()


HEAVY = "torch,django,celery,touchstone,pandas,scipy,sklearn,onnx"


def test_it_checks_a_competition(wheel: Path, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path)
    done = _alone(wheel, "competition", "check", folder, blocked=HEAVY)
    assert (done.returncode, "not checked here" in done.stderr) == (0, False), done.stderr
    (folder / "data" / "test" / "labels.csv").write_text("id,label\na,maybe\n")
    assert _alone(wheel, "competition", "check", folder, blocked=HEAVY).returncode == 7


def test_without_the_readers_it_checks_what_it_can_and_says_so(wheel: Path, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, extra="colour: blue\n")
    done = _alone(wheel, "competition", "check", folder, blocked=f"{HEAVY},numpy,pyarrow,PIL")
    assert done.returncode == 7, done.stderr
    assert "colour" in done.stdout
    assert "touchstone-client[data]" in done.stderr
