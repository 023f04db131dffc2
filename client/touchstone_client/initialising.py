"""A folder to start from, filled from a competition: `touchstone init`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from touchstone_client import settings
from touchstone_client.artifact import KINDS
from touchstone_client.describing import Description, fetch, safe_name
from touchstone_client.errors import ClientError, ExitCode

if TYPE_CHECKING:
    from touchstone_client.sdk import Client
    from touchstone_client.transfer import Progress
    from touchstone_client.types import Competition, Split

#: The files of each kind, and the folder of the templates that they come from.
_FILES = {
    "predictions": {"README.md": "predictions", "train.py": "common"},
    "model": {"README.md": "model", "train.py": "common"},
    "code": {"README.md": "code", "main.py": "common", "train.py": "common"},
    "container": {"README.md": "container", "main.py": "common", "train.py": "common", "Dockerfile": "container"},
    "endpoint": {"README.md": "endpoint", "main.py": "common", "train.py": "common"},
}
_MADE = {"predictions": "predictions.csv", "model": "model.onnx"}
#: What a folder holds that is never sent.
_UNSENT = ("data", "train.py", "README.md", settings.PROJECT_FILE, ".touchstoneignore", ".dockerignore")
_PREFERRED = ("code", "model", "predictions", "container", "endpoint")
#: More is not put into a folder to start from: `touchstone competitions download` gets it.
_MOST_BYTES = 2**28
_TRAINING_SECONDS = 600


@dataclass(frozen=True)
class Begun:
    """What was written. `made`: the file that is submitted, or `notes` say why it is not there yet."""

    folder: Path
    kind: str
    competition: str
    phase: str
    files: tuple[str, ...]
    made: str = ""
    notes: tuple[str, ...] = ()


def initialise(
    client: Client,
    slug: str,
    *,
    phase: str = "",
    kind: str = "",
    folder: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Begun:
    """Write a folder that can be submitted as it is, and learns a little from the competition's public data.

    Raises `ClientError` (exit 2) where files would be overwritten, unless `force`.
    """
    told = fetch(client, slug)
    chosen = told.phase(phase)
    kind = _kind(told.competition, kind)
    folder = folder if folder is not None else Path(f"{slug}-{kind}")
    texts = _texts(told, chosen.slug, kind)
    _refuse_overwriting(folder, [*texts, _MADE.get(kind, "weights.npz")], force)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    notes: list[str] = []
    splits = _splits(told.competition, chosen.split)
    _download(client, told.competition, splits, folder / "data", notes, progress)
    fetch(client, slug, folder=folder / "data")
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    made = _train(folder, kind, told.competition, chosen.split, notes)
    return Begun(folder, kind, slug, chosen.slug, tuple(texts), made, tuple(notes))


def _kind(competition: Competition, wanted: str) -> str:
    if not wanted:
        return next(kind for kind in (*_PREFERRED, competition.kinds[0]) if kind in competition.kinds)
    if wanted in competition.kinds:
        return wanted
    what = f"{competition.slug} takes no {wanted} submissions" if wanted in KINDS else f"There is no kind {wanted!r}"
    raise ClientError(
        what, why=f"it takes: {', '.join(competition.kinds)}", hint="Choose one of these with --kind.",
        code="kind_not_allowed", exit_code=ExitCode.USAGE,
    )  # fmt: skip


def _refuse_overwriting(folder: Path, names: list[str], force: bool) -> None:
    there = [name for name in names if (folder / name).exists()]
    if there and not force:
        raise ClientError(
            f"{folder} was left as it is",
            why=f"it has {', '.join(there)} already",
            hint="Name another folder, or overwrite these files with --force.",
            code="would_overwrite",
            exit_code=ExitCode.USAGE,
        )


def _splits(competition: Competition, scored: str) -> list[Split]:
    """What is learned from, what is tried on and what is asked for, as far as it is given out."""
    train = _training(competition)
    names = dict.fromkeys([train, "sample", scored])
    return [split for name in names for split in competition.splits if split.name == name and split.files]


def _training(competition: Competition) -> str:
    """The largest public split that is not the sample, else the sample; nothing where there is no public split."""
    public = [split for split in competition.splits if split.visibility == "public" and split.files]
    public.sort(key=lambda split: (split.name != "sample", split.n_items))
    return public[-1].name if public else ""


def _download(
    client: Client,
    competition: Competition,
    splits: list[Split],
    data: Path,
    notes: list[str],
    progress: Progress | None,
) -> None:
    for split in splits:
        if sum(file.size for file in split.files) > _MOST_BYTES:
            notes.append(f"The split {split.name} is large: touchstone competitions download {competition.slug}")
            continue
        for file in split.files:
            target = data / safe_name(split.name) / safe_name(file.name)
            client.download(competition.slug, split.name, file, target, progress=progress)


def _texts(told: Description, phase: str, kind: str) -> dict[str, str]:
    """Files and their contents."""
    competition = told.competition
    found = {name: _template(place, name) for name, place in _FILES[kind].items()}
    names, constants = _names(told, phase, kind), _constants(told, phase, kind)
    for name in found:
        if name.endswith(".md"):
            found[name] = re.sub(r"\{\{(\w+)\}\}", lambda match: names[match[1]], found[name])
        elif name.endswith(".py"):
            found[name] = _filled(found[name], constants)
    ignored = "\n".join(("# Not sent with the submission.", *_UNSENT, "Dockerfile", ""))
    if kind == "container":
        found[".dockerignore"] = "\n".join((*_UNSENT, ""))
    elif kind == "code":
        found[".touchstoneignore"] = ignored
    lines = [f'competition = "{competition.slug}"', f'phase = "{phase}"', f'kind = "{kind}"', ""]
    return {**found, settings.PROJECT_FILE: "\n".join(lines)}


def _template(place: str, name: str) -> str:
    return (files("touchstone_client") / "templates" / place / name).read_text(encoding="utf-8")


def _filled(source: str, constants: dict[str, Any]) -> str:
    """Python source with the values of its constants put in."""
    for name, value in constants.items():
        found = re.search(rf"^({name}(?:: [^=\n]+)?) = .*$", source, flags=re.MULTILINE)
        if found is not None:
            source = source[: found.start()] + f"{found[1]} = {_literal(value)}" + source[found.end() :]
    return source


def _literal(value: Any) -> str:
    """A value as Python writes it, texts in double quotes."""
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_literal, value)) + ("," if len(value) == 1 else "") + ")"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _constants(told: Description, phase: str, kind: str) -> dict[str, Any]:
    competition = told.competition
    given = competition.input or {}
    return {
        "KIND": kind, "CLASSES": tuple(competition.task["classes"]), "FEATURES": tuple(given.get("features") or ()),
        "ITEM": tuple(given.get("shape") or ()), "RANGE": tuple(float(end) for end in given.get("range") or (0, 1)),
        "OUTPUT": str(given.get("output") or "probabilities"), "TRAIN": _training(competition),
        "SCORED": told.phase(phase).split,
    }  # fmt: skip


def _names(told: Description, phase: str, kind: str) -> dict[str, str]:
    competition, constants = told.competition, _constants(told, phase, kind)
    resources = competition.resources
    limits = [
        f"{resources.get('cpus', 1):g} processor{'s' if resources.get('cpus', 1) != 1 else ''}",
        f"{_size(resources.get('memory', 0))} of memory", f"{resources.get('time', 0):g} s",
        f"{resources.get('start', 0):g} s until it answers", f"{_size(resources.get('disk', 0))} in /tmp",
    ]  # fmt: skip
    return {
        "title": competition.title, "slug": competition.slug, "phase": phase, "target": f"{competition.slug}/{phase}",
        "classes": ", ".join(constants["CLASSES"]), "item": ", ".join(map(str, constants["ITEM"])),
        "low": f"{constants['RANGE'][0]:g}", "high": f"{constants['RANGE'][1]:g}", "output": constants["OUTPUT"],
        "train": constants["TRAIN"] or "train", "scored": constants["SCORED"], "limits": ", ".join(limits),
        "size": _size(competition.max_size),
    }  # fmt: skip


def _size(count: float) -> str:
    return next(
        f"{count / 2**shift:g} {unit}" for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB"), (0, "bytes"))
        if count >= 2**shift or not shift
    )  # fmt: skip


def _train(folder: Path, kind: str, competition: Competition, scored: str, notes: list[str]) -> str:
    """Run train.py, so that the folder can be submitted as it is; the name of what it made, or nothing."""
    made = _MADE.get(kind, "weights.npz")
    train = _training(competition)
    again = f"then: cd {folder} && python train.py"
    if not train or not (folder / "data" / safe_name(train)).is_dir():
        notes.append(f"There is no public data here to learn from, so {made} was not made.")
        return ""
    if kind == "predictions" and not (folder / "data" / safe_name(scored)).is_dir():
        notes.append(f"The split {scored} is hidden: only what answers questions can be scored on it, not predictions.")
        return ""
    if find_spec("numpy") is None:
        notes.append(f"{made} was not made, for lack of NumPy: pip install 'touchstone-client[data]', {again}")
        return ""
    own = str(Path(__file__).resolve().parents[1])  # the client that is running, however it was started
    path = os.pathsep.join(part for part in (own, os.environ.get("PYTHONPATH", "")) if part)
    try:
        done = subprocess.run(
            [sys.executable, "train.py"],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TRAINING_SECONDS,
            check=False,
            env={**os.environ, "PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired:
        notes.append(f"{made} was not made: train.py took more than {_TRAINING_SECONDS:g} s. Make it faster, {again}")
        return ""
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        notes.append(f"{made} was not made: train.py ended with {last!r}. Mend that, {again}")
        return ""
    notes += done.stdout.strip().splitlines()[-1:]
    return made
