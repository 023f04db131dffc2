"""Jobs of CI services, run here: the steps of our GitHub Action and the script of our GitLab component, by a real bash.

Also a strict model of both files: the keys that we use, as the services document them, and nothing else.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
ACTION = ROOT / "client/ci/github/action.yml"
COMPONENT = ROOT / "client/ci/gitlab/templates/submit.yml"
_PINNED = re.compile(r"[\w./-]+@[0-9a-f]{40}")
_INPUT = re.compile(r"\$\{\{ inputs\.([a-z-]+) \}\}")
_STEP_OUTPUT = re.compile(r"\$\{\{ steps\.([a-z]+)\.outputs\.([a-z]+) \}\}")
_INTERPOLATED = re.compile(r"\$\[\[ inputs\.([a-z-]+) \]\]")

#: Stands for `python3` of a runner. A real virtual environment, with the packages of this one instead of an index's.
_PYTHON = """#!/bin/bash
set -eu
if [ "${{1:-}} ${{2:-}} ${{3:-}}" = "-I -m venv" ]; then
  "{python}" -I -m venv --without-pip "$4"
  echo "{packages}" > "$("$4/bin/python" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ours.pth"
else
  exec "{python}" "$@"
fi
"""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ActionInput(_Strict):
    description: str = Field(min_length=10)
    required: bool = False
    default: str | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> ActionInput:
        if self.required == (self.default is not None):
            raise ValueError("an input is required or has a default")
        return self


class ActionOutput(_Strict):
    description: str = Field(min_length=10)
    value: str = Field(pattern=_STEP_OUTPUT.pattern)


class Step(_Strict):
    name: str
    id: str = ""
    shell: Literal["bash", ""] = ""
    env: dict[str, str] = {}
    run: str = ""
    uses: str = ""

    @model_validator(mode="after")
    def _safe(self) -> Step:
        if bool(self.run) == bool(self.uses) or (self.run and not self.shell):
            raise ValueError("a step runs something in a shell, or uses an action")
        if "${{" in self.run:
            raise ValueError("a script takes values from the environment: written into it, they would be run")
        if self.uses and not _PINNED.fullmatch(self.uses):
            raise ValueError("other people's actions are pinned by their commit")
        if any(not _INPUT.fullmatch(value) for value in self.env.values() if "${{" in value):
            raise ValueError("an environment variable is one input")
        return self


class Composite(_Strict):
    using: Literal["composite"]
    steps: list[Step] = Field(min_length=1)


class Action(_Strict):
    name: str = Field(max_length=60)
    description: str
    author: str
    branding: dict[Literal["icon", "color"], str]
    inputs: dict[str, ActionInput]
    outputs: dict[str, ActionOutput]
    runs: Composite


class ComponentInput(_Strict):
    description: str = Field(min_length=5)
    default: str | None = None
    options: list[str] = []
    regex: str = ""


class Variable(_Strict):
    value: str
    expand: Literal[False]


class Artifacts(_Strict):
    when: Literal["always", "on_success", "on_failure"]
    expose_as: str = Field(pattern=r"^[A-Za-z0-9 _-]{1,100}$")
    paths: list[str]
    reports: dict[Literal["dotenv", "junit"], str]


class Job(_Strict):
    stage: str
    image: str
    id_tokens: dict[str, dict[Literal["aud"], str]]
    variables: dict[str, str | Variable]
    script: list[str]
    artifacts: Artifacts

    @model_validator(mode="after")
    def _safe(self) -> Job:
        if any("$[[" in line for line in self.script):
            raise ValueError("a script takes values from variables: written into it, they would be run")
        if any("$[[" in value for value in self.variables.values() if isinstance(value, str)):
            raise ValueError("an input's value is not to be expanded")
        return self


class Spec(_Strict):
    inputs: dict[str, ComponentInput]


class Header(_Strict):
    spec: Spec


def action() -> Action:
    """The action, checked."""
    return Action.model_validate(YAML(typ="safe").load(ACTION))


def component() -> tuple[Spec, dict[str, Any]]:
    """The component's inputs, and its jobs as they are written."""
    header, jobs = YAML(typ="safe").load_all(COMPONENT)
    for job in jobs.values():
        Job.model_validate(job)
    return Header.model_validate(header).spec, jobs


def inputs_used(node: Any) -> set[str]:
    """The inputs that any text in a parsed file names."""
    if isinstance(node, Mapping):
        return set().union(*(inputs_used(part) for pair in node.items() for part in pair))
    if isinstance(node, list):
        return set().union(*(inputs_used(part) for part in node))
    return {name for pattern in (_INPUT, _INTERPOLATED) for name in pattern.findall(str(node))}


@dataclass(frozen=True)
class Ran:
    """What a job left behind."""

    code: int
    said: str
    outputs: dict[str, str]
    summary: str


class Runner:
    """A machine of a CI service: folders of its own, and a `python3` that needs no package index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.tools = folder / "tools"
        self.work.mkdir(parents=True)
        self.tools.mkdir()
        shim = self.tools / "python3"
        shim.write_text(_PYTHON.format(python=sys.executable, packages=sysconfig.get_path("purelib")))
        shim.chmod(0o755)

    def environment(self) -> dict[str, str]:
        """pip takes nothing from an index: what is installed is what lies there."""
        own = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "HOME": str(self.folder)}
        return {"PATH": f"{self.tools}{os.pathsep}{os.environ['PATH']}", "RUNNER_TEMP": str(self.folder), **own}

    def github(self, step: Step, given: Mapping[str, str], **more: str) -> Ran:
        """A step, as GitHub runs it: a script in a file, inputs in the environment, outputs and summary in files."""
        values = {name: entry.default or "" for name, entry in action().inputs.items()} | dict(given)
        files = {name: self.folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("")
        env = {name: _INPUT.sub(lambda found: values[found[1]], value) for name, value in step.env.items()}
        env |= {"GITHUB_ACTIONS": "true", **{name: str(file) for name, file in files.items()}, **more}
        script = self.folder / "step.sh"
        script.write_text(step.run)
        code, said = self._bash(["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)], env)
        return Ran(code, said, _pairs(files["GITHUB_OUTPUT"]), files["GITHUB_STEP_SUMMARY"].read_text())

    def gitlab(self, given: Mapping[str, str], **more: str) -> Ran:
        """The component's job, as GitLab runs it: inputs put into the parsed file, then its lines one after another."""
        spec, jobs = component()
        values = {name: entry.default or "" for name, entry in spec.inputs.items()} | dict(given)
        (job,) = (Job.model_validate(_interpolated(job, values)) for job in jobs.values())
        env = {name: var if isinstance(var, str) else var.value for name, var in job.variables.items()}
        lines = "\n".join(["set -eo pipefail", *job.script])
        code, said = self._bash(["bash", "-c", lines], env | {"GITLAB_CI": "true", **more})
        summary = self.work / job.artifacts.paths[0]
        told = summary.read_text() if summary.exists() else ""
        return Ran(code, said, _pairs(self.work / job.artifacts.reports["dotenv"]), told)

    def _bash(self, argv: list[str], env: Mapping[str, str]) -> tuple[int, str]:
        done = subprocess.run(
            argv, env=self.environment() | dict(env), cwd=self.work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=120, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout


def _interpolated(node: Any, values: Mapping[str, str]) -> Any:
    if isinstance(node, Mapping):
        return {key: _interpolated(part, values) for key, part in node.items()}
    if isinstance(node, list):
        return [_interpolated(part, values) for part in node]
    return _INTERPOLATED.sub(lambda found: values[found[1]], node) if isinstance(node, str) else node


def _pairs(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    return dict(line.split("=", 1) for line in file.read_text().splitlines())
