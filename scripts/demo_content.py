"""What the demo puts into a running Touchstone: people, the ready-made competitions, their baselines.

Everything is sent the way any participant would send it, through the client. Names and keys are
fixed, so a second run finds what the first one made.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from scripts.engines import Choice
from scripts.stack import ROOT, Stack, write_private
from touchstone_client.packing import packed, sha256_file
from touchstone_client.sdk import Client

ORGANISER = ("organiser", "Organiser")
PARTICIPANTS = (("harbour", "Harbour Analytics"), ("nightowls", "Night Owls"), ("fairwind", "Fairwind Lab"))
#: What each engine can run. Without one, nobody's code is run.
KINDS = {
    None: ("predictions",),
    "bubblewrap": ("predictions", "model", "code"),
    "docker": ("predictions", "model", "code", "container"),
}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Baseline:
    """An entry of a competition's baselines.yml. `file` is a file, or a folder with code."""

    competition: str
    name: str
    kind: str
    path: Path
    phase: str
    message: str
    expected: dict[str, float]


@dataclass(frozen=True)
class Sent:
    """A baseline that was submitted. `who` is the user name it was submitted by."""

    baseline: Baseline
    id: str
    who: str


@dataclass(frozen=True)
class People:
    """Who plays in the demo. `fresh` holds the passwords that were generated just now."""

    tokens: dict[str, str]
    passwords: dict[str, str]
    fresh: bool


def people(stack: Stack) -> People:
    """Create the demo's accounts; passwords are kept in var/demo/credentials.json (mode 0600)."""
    path = stack.var / "demo" / "credentials.json"
    known: dict[str, str] = {}
    if path.exists():
        known = {user["username"]: user["password"] for user in json.loads(path.read_text())["users"]}
    names = [ORGANISER[0], *(name for name, _ in PARTICIPANTS)]
    passwords = {name: known.get(name) or secrets.token_urlsafe(12) for name in names}
    asked = [
        {
            "username": name,
            "email": f"{name}@demo.invalid",
            "password": passwords[name],
            "scopes": ["read", "submit", "organise"] if name == ORGANISER[0] else ["read", "submit"],
        }
        for name in names
    ]
    tokens = stack.module("scripts.people", question=asked)
    users = [{"username": name, "password": passwords[name], "token": tokens[name]} for name in names]
    write_private(path, json.dumps({"url": stack.url, "users": users}, indent=2) + "\n")
    return People(tokens=tokens, passwords=passwords, fresh=any(name not in known for name in names))


def folders() -> list[Path]:
    """The ready-made competitions, by name."""
    return sorted(path.parent for path in (ROOT / "competitions").glob("*/competition.yml"))


def baselines(folder: Path, engine: str | None) -> list[Baseline]:
    """The baselines of a competition that `engine` can run."""
    entries = YAML(typ="safe").load((folder / "baselines" / "baselines.yml").read_text())
    return [
        Baseline(
            competition=folder.name,
            name=entry["name"],
            kind=entry["kind"],
            path=folder / "baselines" / entry["file"],
            phase=entry["phase"],
            message=entry["message"],
            expected=entry["expected"],
        )
        for entry in entries
        if entry["kind"] in KINDS[engine]
    ]


def push(organiser: Client, folder: Path, say: Say) -> None:
    """Import a competition folder, or leave it as it is where the server has it already."""
    with packed(folder) as archive:
        outcome = organiser.push(archive)
    done = "imported" if outcome.created else "updated" if outcome.changed else "already there"
    say(f"Competition {outcome.competition}: {done} (version {outcome.version})")


def submit(clients: dict[str, Client], items: list[Baseline], var: Path, say: Say) -> list[Sent]:
    """Join and submit, the participants taking turns. A submission that exists already is found again."""
    sent: list[Sent] = []
    for index, baseline in enumerate(items):
        who, shown = PARTICIPANTS[index % len(PARTICIPANTS)]
        client = clients[who]
        client.join(baseline.competition, accept_terms=True, display_name=shown)
        answer = _send(client, baseline, var, as_archive=index == _first_container(items))
        say(f"Submitted {baseline.competition}/{baseline.name} ({baseline.kind}) as {shown}: {answer.status}")
        sent.append(Sent(baseline=baseline, id=answer.id, who=who))
    return sent


def _first_container(items: list[Baseline]) -> int:
    """The one container sent as an archive, as from another machine; the others name an image of the engine."""
    return next((index for index, item in enumerate(items) if item.kind == "container"), -1)


def _send(client: Client, baseline: Baseline, var: Path, *, as_archive: bool) -> Any:
    common = {"kind": baseline.kind, "message": baseline.message}
    if baseline.kind == "container":
        image = _build(baseline)
        key = _key(baseline, _folder_digest(baseline.path))
        if not as_archive:
            return client.submit(baseline.competition, baseline.phase, image=image, idempotency_key=key, **common)
        archive = _save(image, var / "demo" / f"{baseline.competition}-{baseline.name}.tar")
        try:
            if archive.stat().st_size > client.competition(baseline.competition).max_size:
                return client.submit(baseline.competition, baseline.phase, image=image, idempotency_key=key, **common)
            return client.submit(baseline.competition, baseline.phase, archive, idempotency_key=key, **common)
        finally:
            archive.unlink()
    if baseline.path.is_dir():
        with packed(baseline.path) as archive:
            key = _key(baseline, sha256_file(archive))
            return client.submit(baseline.competition, baseline.phase, archive, idempotency_key=key, **common)
    key = _key(baseline, sha256_file(baseline.path))
    return client.submit(baseline.competition, baseline.phase, baseline.path, idempotency_key=key, **common)


def _key(baseline: Baseline, digest: str) -> str:
    """The same content is submitted once; a baseline that was trained anew is a new submission."""
    return f"demo-{hashlib.sha256(f'{baseline.kind}:{baseline.name}:{digest}'.encode()).hexdigest()[:24]}"


def _folder_digest(folder: Path) -> str:
    with packed(folder) as archive:
        return sha256_file(archive)


def _build(baseline: Baseline) -> str:
    tag = f"touchstone-demo/{baseline.competition}-{baseline.name}:1"
    _docker("build", "--quiet", "--tag", tag, str(baseline.path))
    return tag


def _save(image: str, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    _docker("save", "--output", str(target), image)
    return target


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"docker {arguments[0]} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout


def engine_note(choice: Choice) -> str:
    """One line on what isolates foreign code, and what is not enforced."""
    report = choice.report
    missing = "; ".join(report.get("not_enforced", ())) or "nothing"
    return (
        f"Engine: {choice.name} {report.get('version', '')} ({report.get('isolation', '')}). Not enforced: {missing}."
    )
