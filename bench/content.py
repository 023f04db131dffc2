"""The competition that submissions are timed on: fair recidivism, as it ships, without attacks and timings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from runners.contract import RunSpec, SplitRef, SubmissionRef
from runners.data import load_split
from runners.spec.models import CompetitionSpec
from scripts.stack import ROOT

FOLDER = ROOT / "competitions" / "recidivism"
SLUG = "bench-recidivism"
PHASE = "development"
PREDICTIONS = FOLDER / "baselines" / "logistic.csv"
CONTAINER = FOLDER / "baselines" / "logistic-code"
#: What takes as long as it is told to, and so would hide what the platform adds.
_LEFT_OUT = ("robustness.", "efficiency.")
_BIG = 10_000


def bundle(folder: Path) -> Path:
    """The competition's folder under another slug, without quotas."""
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("baselines"))
    (folder / "competition.yml").write_text(json.dumps(_spec(), default=str))
    return folder


def _spec() -> dict[str, Any]:
    spec: dict[str, Any] = YAML(typ="safe").load((FOLDER / "competition.yml").read_text())
    spec["slug"], spec["title"] = SLUG, "Bench: fair recidivism"
    spec["metrics"] = [use for use in spec["metrics"] if not use["use"].startswith(_LEFT_OUT)]
    spec["leaderboards"] = [board for board in spec["leaderboards"] if not board["rank_by"].startswith("hsj")]
    for phase in spec["phases"]:
        phase["limits"] = {"per_day": _BIG, "total": _BIG}
    return spec


def questions() -> list[Any]:
    """What the judge asks a container here: the sample, then every item of the phase's split."""
    spec = competition()
    found = [load_split(FOLDER / "data" / name, spec).inputs for name in ("sample", "validation")]
    return [x for x in found if x is not None]


def competition() -> CompetitionSpec:
    return CompetitionSpec.model_validate_json(json.dumps(_spec(), default=str))


def run_spec() -> RunSpec:
    """The run of the prediction file, for the judge alone."""
    spec = competition()
    return RunSpec(
        run="bench", attempt=1, competition=SLUG, phase=PHASE,
        submission=SubmissionRef(id="bench", kind="predictions"), task=spec.task, input=spec.input,
        attributes=spec.attributes, aggregate=spec.aggregate, resources=spec.submission.resources,
        metrics=spec.metrics, split=SplitRef(name="validation", visibility="inputs", digest="bench", files=()), seed=1,
    )  # fmt: skip
