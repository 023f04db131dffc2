"""The people and submissions of the chaos: a small competition, prediction files, containers and code."""

from __future__ import annotations

import json
import random
import secrets
import time
import zipfile
from pathlib import Path
from typing import Any

from scripts.chaos_docker import OwnDocker
from scripts.stack import Stack
from touchstone_client.errors import ClientError
from touchstone_client.packing import packed
from touchstone_client.sdk import Client

_SLUG = "chaos"
_PEOPLE = 10
_ITEMS = 40
#: Files, containers and code, in the shares in which they are sent.
_KINDS = ("predictions",) * 14 + ("container",) * 4 + ("code",) * 2
_MAIN = """
import time
import numpy as np
from touchstone_client import serve

print("ready", flush=True)


def predict(x):
    time.sleep(0.1)
    p = 1 / (1 + np.exp(-40 * (x[:, 0] - x[:, 1])))
    return np.stack([1 - p, p], axis=1)


serve(predict)
"""


class World:
    """Made once the server answers. `sent` are the ids of what was submitted."""

    def __init__(self, stack: Stack, docker: OwnDocker, folder: Path, *, rng: random.Random) -> None:
        self.sent: list[str] = []
        self._folder = folder
        self._rng = rng
        names = ["organiser", *(f"person{n}" for n in range(_PEOPLE))]
        asked = [
            {
                "username": name, "email": f"{name}@chaos.invalid", "password": secrets.token_urlsafe(12),
                "scopes": ["read", "submit", "organise"],
            }
            for name in names
        ]  # fmt: skip
        tokens = stack.module("scripts.people", question=asked)
        self._clients = {name: Client(stack.url, tokens[name]) for name in names}
        with packed(_bundle(folder / "bundle")) as archive:
            self._clients["organiser"].push(archive)
        for name in names[1:]:
            self._clients[name].join(_SLUG, accept_terms=True, display_name=name)
        image = folder / "image"
        image.mkdir()
        (image / "main.py").write_text(_MAIN)
        (image / "Dockerfile").write_text("FROM touchstone/base:1\nCOPY main.py /app/main.py\n")
        self._image = docker.build(image, "chaos/model:1")

    def submit(self) -> None:
        """The next one, sent until it is taken, and then once more: it counts once."""
        number = len(self.sent)
        kind = self._rng.choice(_KINDS)
        client = self._clients[f"person{number % _PEOPLE}"]
        path = {"predictions": self._file, "code": self._code, "container": lambda _: None}[kind](number)
        image = self._image if kind == "container" else ""
        taken: list[str] = []
        while len(taken) < 2:
            try:
                sent = client.submit(_SLUG, "open", path, kind=kind, image=image, idempotency_key=f"chaos-{number}")
                taken.append(sent.id)
            except ClientError:
                time.sleep(0.5)  # the server is being restarted
        self.sent.append(taken[0])

    def close(self) -> None:
        """Hang up."""
        for client in self._clients.values():
            client.close()

    def _file(self, number: int) -> Path:
        path = self._folder / f"answers{number}.csv"
        wrong = number % 20
        rows = (f"i{k},{_label(a, b) if k >= wrong else _label(b, a)}" for k, (a, b) in enumerate(_points(_ITEMS)))
        path.write_text("\n".join(["id,prediction", *rows]) + "\n")
        return path

    def _code(self, number: int) -> Path:
        path = self._folder / f"code{number}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("main.py", f"{_MAIN}# {number}\n")
        return path


def _points(n: int) -> list[tuple[float, float]]:
    draw = random.Random(n)
    return [(round(draw.random(), 4), round(draw.random(), 4)) for _ in range(n)]


def _label(a: float, b: float) -> str:
    return "yes" if a > b else "no"


def _bundle(folder: Path) -> Path:
    """A binary task on two numbers: yes means a > b."""
    spec: dict[str, Any] = {
        "touchstone": 1,
        "slug": _SLUG,
        "title": "Chaos",
        "task": {"kind": "binary", "classes": ["no", "yes"], "positive": "yes"},
        "input": {"kind": "tabular", "shape": [2], "features": ["a", "b"], "range": [0, 1]},
        "data": {
            "sample": {"path": "data/sample", "visibility": "public"},
            "test": {"path": "data/test", "visibility": "inputs"},
        },
        "submission": {
            "kinds": ["predictions", "code", "container"],
            "resources": {"cpus": 1, "memory": "256MiB", "time": "120s", "start": "60s", "disk": "16MiB"},
        },
        "phases": [{"slug": "open", "split": "test", "opens": "2026-01-01T00:00Z"}],
        "metrics": [{"use": "performance.accuracy"}],
        "leaderboards": [{"slug": "main", "rank_by": "performance.accuracy"}],
    }
    folder.mkdir()
    (folder / "competition.yml").write_text(json.dumps(spec))
    for name, n, letter in (("sample", 4, "s"), ("test", _ITEMS, "i")):
        split = folder / "data" / name
        split.mkdir(parents=True)
        points = _points(n)
        rows = [f"{letter}{k},{a:.4f},{b:.4f}" for k, (a, b) in enumerate(points)]
        (split / "inputs.csv").write_text("\n".join(["id,a,b", *rows]) + "\n")
        labels = [f"{letter}{k},{_label(a, b)}" for k, (a, b) in enumerate(points)]
        (split / "labels.csv").write_text("\n".join(["id,label", *labels]) + "\n")
    return folder
