"""What the live tests share: a stack with people in it, a small competition, and submissions to it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scripts.engines import Choice
from scripts.stack import PYTHONPATH, ROOT, Stack
from touchstone_client import types as t
from touchstone_client.packing import packed
from touchstone_client.sdk import Client

#: Of the test process, and not for the stack: it has services and storage of its own.
_FOREIGN = ("DATABASE_URL", "DJANGO_SETTINGS_MODULE", "PYTEST_CURRENT_TEST")
WAIT_SECONDS = 180.0
_BUILT: list[str] = []


def clean_environment() -> dict[str, str]:
    """The environment without what the unit tests' own services put there."""
    return {
        key: value for key, value in os.environ.items() if key not in _FOREIGN and not key.startswith("TOUCHSTONE_")
    }


@dataclass
class Live:
    """A running stack. `engine` is what its node runs foreign code with; its name is None where there is none."""

    stack: Stack
    engine: Choice
    tokens: dict[str, str] = field(default_factory=dict)
    clients: list[Client] = field(default_factory=list)

    def person(self, name: str = "", *, organise: bool = False) -> Client:
        """A client of somebody new, or of somebody known by that name."""
        name = name or f"person{uuid.uuid4().hex[:8]}"
        if name not in self.tokens:
            scopes = ["read", "submit", *(["organise"] if organise else [])]
            asked = {
                "username": name,
                "email": f"{name}@test.invalid",
                "password": secrets.token_urlsafe(12),
                "scopes": scopes,
            }
            self.tokens |= self.stack.module("scripts.people", question=[asked])
        self.clients.append(Client(self.stack.url, self.tokens[name]))
        return self.clients[-1]

    def hang_up(self) -> None:
        """Close the connections of everybody."""
        while self.clients:
            self.clients.pop().close()

    def cli(self, *arguments: str, token: str) -> subprocess.CompletedProcess[str]:
        """Run the `touchstone` command as a person would."""
        env = clean_environment() | {"PYTHONPATH": PYTHONPATH, "NO_COLOR": "1"}
        env |= {"TOUCHSTONE_URL": self.stack.url, "TOUCHSTONE_TOKEN": token}
        argv = [sys.executable, "-m", "touchstone_client.cli", *arguments]
        return subprocess.run(argv, capture_output=True, text=True, env=env, cwd=ROOT, timeout=WAIT_SECONDS)


def competition(**changes: Any) -> dict[str, Any]:
    """competition.yml of a small binary task on two numbers, as a dict; JSON is YAML."""
    spec: dict[str, Any] = {
        "touchstone": 1,
        "slug": f"small-{uuid.uuid4().hex[:8]}",
        "title": "Small",
        "task": {"kind": "binary", "classes": ["no", "yes"], "positive": "yes"},
        "input": {"kind": "tabular", "shape": [2], "features": ["a", "b"], "range": [0, 1]},
        "data": {
            "sample": {"path": "data/sample", "visibility": "public"},
            "test": {"path": "data/test", "visibility": "inputs"},
        },
        "submission": {
            "kinds": ["predictions", "model", "code", "container"],
            "size": "1GiB",
            "resources": {
                "cpus": 1,
                "memory": "512MiB",
                "time": "25s",
                "start": "12s",
                "disk": "16MiB",
                "image": "4GiB",
            },
        },
        "phases": [{"slug": "open", "split": "test", "opens": "2026-01-01T00:00Z", "limits": {"total": 50}}],
        "metrics": [{"use": "performance.accuracy"}],
        "leaderboards": [{"slug": "main", "rank_by": "performance.accuracy"}],
    }
    return spec | changes


def write_bundle(folder: Path, spec: dict[str, Any], *, label: Callable[[int], str] | None = None) -> Path:
    """The bundle of `competition()`: 4 items to try on, 40 to be scored on. yes means a > b."""
    folder.mkdir(parents=True)
    (folder / "competition.yml").write_text(json.dumps(spec, indent=2))
    for name, n, letter in (("sample", 4, "s"), ("test", 40, "i")):
        split = folder / "data" / name
        split.mkdir(parents=True)
        x = inputs(n)
        rows = [f"{letter}{number},{a:.4f},{b:.4f}" for number, (a, b) in enumerate(x)]
        (split / "inputs.csv").write_text("\n".join(["id,a,b", *rows]) + "\n")
        truth = label or (lambda number, x=x: "yes" if x[number, 0] > x[number, 1] else "no")
        (split / "labels.csv").write_text(
            "\n".join(["id,label", *(f"{letter}{k},{truth(k)}" for k in range(n))]) + "\n"
        )
    return folder


def inputs(n: int) -> np.ndarray[Any, Any]:
    """(n, 2) in [0, 1], the same each time, rounded as the file holds them."""
    return np.random.default_rng(n).random((n, 2)).round(4)


def answers(n: int = 40, *, wrong: int = 0) -> str:
    """A prediction file that is right but for the first `wrong` items."""
    x = inputs(n)
    right = ["yes" if a > b else "no" for a, b in x]
    rows = [f"i{k},{right[k] if k >= wrong else ('no' if right[k] == 'yes' else 'yes')}" for k in range(n)]
    return "\n".join(["id,prediction", *rows]) + "\n"


def push(client: Client, folder: Path) -> t.PushOutcome:
    """Publish a folder."""
    with packed(folder) as archive:
        return client.push(archive)


def publish(live: Live, tmp: Path, spec: dict[str, Any] | None = None) -> str:
    """A new small competition; its slug."""
    organiser = live.person("organiser", organise=True)
    return push(organiser, write_bundle(tmp / "bundle", spec or competition())).competition


MAIN = """
import numpy as np
from touchstone_client import serve


def predict(x):
    p = 1 / (1 + np.exp(-40 * (x[:, 0] - x[:, 1])))
    return np.stack([1 - p, p], axis=1)


serve(predict)
"""


def code(folder: Path, main: str = MAIN, **files: str) -> Path:
    """A `code` submission's folder."""
    folder.mkdir(parents=True)
    (folder / "main.py").write_text(textwrap.dedent(main))
    for name, text in files.items():
        (folder / name).write_text(textwrap.dedent(text))
    return folder


def submit_code(client: Client, slug: str, folder: Path) -> t.Submission:
    """Zip and submit a folder."""
    with packed(folder) as archive:
        return client.submit(slug, "open", archive, kind="code")


def ended(client: Client, submission: t.Submission) -> t.Submission:
    """The submission in its final state."""
    return client.wait(submission.id, timeout=WAIT_SECONDS)


def told(done: t.Submission) -> str:
    """What happened, why, and the next step, as its owner is told. A run that ended always has all three."""
    assert done.explanation is not None
    parts = (done.explanation.what, done.explanation.why, done.explanation.next)
    assert all(parts), done.explanation
    return " ".join(parts)


def scores(client: Client, submission: t.Submission) -> dict[str, float | None]:
    """Values by result key."""
    return {item.key: item.value for item in client.results(submission.id).items}


def build_image(folder: Path, dockerfile: str, main: str = MAIN) -> str:
    """An image from a Dockerfile beside main.py; its name. It goes when the test ends."""
    code(folder, main, Dockerfile=dockerfile)
    tag = f"touchstone-test/{uuid.uuid4().hex[:12]}:1"
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", tag, str(folder)], check=True, capture_output=True, timeout=300
    )
    _BUILT.append(tag)
    return tag


def remove_images() -> None:
    """What `build_image` built."""
    while _BUILT:
        remove_image(_BUILT.pop())


def remove_image(tag: str) -> None:
    """Untag; a container that still holds it is the engine's to remove."""
    with suppress(subprocess.SubprocessError):
        subprocess.run(["docker", "image", "rm", "--force", tag], check=True, capture_output=True, timeout=120)
