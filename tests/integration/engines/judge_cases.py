"""The judge suite as data: one folder a case, `case.yml` and the files of a hostile or broken submission.

`python tests/integration/engines/judge_cases.py` rewrites the table of cases in docs/threat-model.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from runners.contract import State, Verdict
from runners.spec.models import SubmissionKind
from runners.spec.values import parse_size

ROOT = Path(__file__).resolve().parents[3]
SUITE = ROOT / "tests" / "judge_suite"
SHARED = SUITE / "_shared"
PAGE = ROOT / "docs" / "threat-model.md"
BEGIN, END = "<!-- cases: begin -->", "<!-- cases: end -->"

EngineName = Literal["runc", "runsc", "bubblewrap"]
ENGINES: tuple[EngineName, ...] = ("runc", "runsc", "bubblewrap")
Group = Literal["answers", "channel", "resources", "network", "secrets", "files", "kernel", "archive", "image"]
GROUPS: dict[Group, str] = {
    "resources": "Taking the node down",
    "network": "Reaching somebody",
    "secrets": "Reading what is not its own",
    "files": "Writing and leaving things",
    "kernel": "Attacking the kernel",
    "channel": "Misusing the channel",
    "answers": "Answering wrongly",
    "archive": "Hostile archives",
    "image": "Hostile images",
}


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Bytes = Annotated[int, BeforeValidator(parse_size), Field(gt=0)]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Limits(_Strict):
    """Limits of the run. Seconds and bytes."""

    time: float = Field(30.0, gt=0, le=60)
    start: float = Field(25.0, gt=0, le=60)
    memory: Bytes = 256 * 2**20
    disk: Bytes = 8 * 2**20
    log: Bytes = 64 * 2**10


class Expectation(_Strict):
    """How the run must end. `verdict`, `code`: any of them. `accuracy`: within 1e-9; None where nothing may be scored.

    `log`, `message`, `note`: regular expressions that must be found in the submission's log, in the verdict's text and
    in the run's events. `not_log`, `not_message`: must not be found there. `states`: of results by key.
    """

    verdict: Annotated[tuple[Verdict, ...], BeforeValidator(_listed), Field(min_length=1)]
    code: Texts = ()
    accuracy: float | None = Field(None, ge=0, le=1)
    log: Texts = ()
    not_log: Texts = ()
    not_message: Texts = ()
    message: Texts = ()
    note: Texts = ()
    states: dict[str, State] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _scored_or_not(self) -> Expectation:
        if (Verdict.OK in self.verdict) != (self.accuracy is not None) or (
            self.accuracy is not None and self.verdict[1:]
        ):
            raise ValueError("an accuracy belongs to the verdict ok, and to no other")
        return self


class Exception_(Expectation):
    """What one engine does differently, and why that is so."""

    why: str = Field(min_length=30)


class Entry(_Strict):
    """An entry of the archive that a plain folder cannot hold."""

    name: str
    kind: Literal["file", "symlink", "fifo", "device"] = "file"
    content: str = ""
    zeros: Bytes | None = None


class Case(_Strict):
    """One hostile or broken submission. `slug` is the name of its folder.

    `bomb`: an honest submission must be scored right after it. `attack`: the run measures robustness too.
    """

    slug: str = Field(pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$")
    title: str = Field(min_length=5, max_length=90)
    tries: str = Field(min_length=10)
    group: Group
    kind: Literal[SubmissionKind.CODE, SubmissionKind.CONTAINER] = SubmissionKind.CODE
    limits: Limits = Limits()
    bomb: bool = False
    attack: bool = False
    entries: tuple[Entry, ...] = ()
    expect: Expectation
    engines: dict[EngineName, Exception_] = Field(default_factory=dict)

    def expectation(self, engine: EngineName) -> Expectation:
        """What must happen on `engine`."""
        return self.engines.get(engine, self.expect)

    @property
    def folder(self) -> Path:
        return SUITE / self.slug


def load_case(folder: Path) -> Case:
    """Read one case; raises `pydantic.ValidationError` for unknown keys and wrong values."""
    content = yaml.safe_load((folder / "case.yml").read_text(encoding="utf-8"))
    return Case.model_validate({"slug": folder.name, **content})


def load_cases() -> dict[str, Case]:
    """All cases by slug, in the order of the documentation's table."""
    folders = sorted(path for path in SUITE.iterdir() if path.is_dir() and not path.name.startswith(("_", ".")))
    cases = [load_case(folder) for folder in folders]
    order = list(GROUPS)
    return {case.slug: case for case in sorted(cases, key=lambda case: (order.index(case.group), case.slug))}


def table() -> str:
    """The cases as the documentation shows them, Markdown."""
    lines = []
    cases = load_cases()
    for group, title in GROUPS.items():
        lines += ["", f"### {title}", "", "| case | it tries | runc | gVisor | bubblewrap |", "|---|---|---|---|---|"]
        for case in cases.values():
            if case.group == group:
                cells = [_cell(case, engine) for engine in ENGINES]
                lines.append(f"| `{case.slug}` | {' '.join(case.tries.split())} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "¹ Where an engine differs, and why:", "", *_reasons(cases), ""])


def _reasons(cases: dict[str, Case]) -> list[str]:
    """One line for each reason, with the cases it is given for."""
    found: dict[tuple[str, str], list[str]] = {}
    for case in cases.values():
        for engine, other in case.engines.items():
            name = "gVisor" if engine == "runsc" else engine
            found.setdefault((name, " ".join(other.why.split())), []).append(f"`{case.slug}`")
    return [f"* {name}, {', '.join(slugs)}: {why}" for (name, why), slugs in found.items()]


def _cell(case: Case, engine: EngineName) -> str:
    expected = case.expectation(engine)
    said = "scored" if Verdict.OK in expected.verdict else " or ".join(expected.verdict)
    if expected.accuracy is not None and expected.accuracy < 1.0:
        said = f"scored {expected.accuracy:g}"
    return f"**{said}** ¹" if engine in case.engines else said


def write_table() -> None:
    """Put the table between its marks in the page."""
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n{table()}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    write_table()
