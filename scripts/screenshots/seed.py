"""People, a ready-made competition, and entries of it that the judge really scored."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from django.core.files.base import ContentFile

from runners.contract import EventBatch, RunEvent
from scripts.screenshots.site import Clock
from scripts.stack import ROOT
from tests.factories.in_process import run_everything
from tests.factories.server import node_make, user_make
from touchstone.accounts.models import User
from touchstone.competitions.models import Competition, Phase
from touchstone.competitions.services import competition_import, participation_join
from touchstone.drafts.models import Draft
from touchstone.drafts.services import draft_create
from touchstone.evaluations.services import events_append, run_check, run_claim
from touchstone.submissions.models import Submission
from touchstone.submissions.services import submission_create

_FOLDER = ROOT / "competitions/recidivism"
#: Name on the leaderboard, weight of earlier charges and of age, noise, and how much harder it is on one group.
_ENTRIES = [
    ("Northwind Lab", 3.2, 1.9, 0.35, 0.00), ("Aurora Statistics", 3.0, 2.0, 0.40, 0.10),
    ("Juniper Group", 3.4, 1.5, 0.45, 0.25), ("Delta Fairness", 2.6, 1.4, 0.40, -0.20),
    ("Kestrel", 3.0, 1.0, 0.60, 0.20), ("Institute for Measured AI", 2.4, 2.2, 0.50, -0.10),
    ("Lowland University", 2.0, 1.2, 0.70, 0.35), ("Marble Arch", 1.6, 1.8, 0.80, 0.05),
    ("Ostrava Team", 1.4, 0.8, 0.90, 0.40), ("Pebble", 1.0, 1.0, 1.10, 0.00),
    ("Quarry", 0.8, 0.4, 1.30, 0.15), ("First steps", 0.2, 0.2, 1.60, 0.00),
]  # fmt: skip
_LOG = """loading weights/mlp.onnx
model: 6 -> 32 -> 16 -> 2, 802 parameters
warming up: 3 batches of 256
serving on /run/touchstone/model.sock
sample: 200 of 200 items answered in 0.4 s
"""


@dataclass
class Seeded:
    """What the pictures are of."""

    organiser: User
    participant: User
    competition: Competition
    phase: Phase
    draft: Draft
    done: Submission
    failed: Submission
    running: Submission
    people: dict[str, User] = field(default_factory=dict)


def seed(clock: Clock, folder: Path) -> Seeded:
    """Fill the site. The clock stands at the moment of the pictures afterwards."""
    clock.before(days=40)
    organiser = user_make("ines")
    competition = competition_import(user=organiser, archive=_FOLDER).competition
    phase = Phase.objects.select_related("competition", "split").get(competition=competition, slug="development")
    people = {name: user_make(f"user{number}") for number, (name, *_) in enumerate(_ENTRIES)}
    for name, user in people.items():
        participation_join(competition=competition, user=user, accept_terms=True, display_name=name)
    for number, (name, *skill) in enumerate(reversed(_ENTRIES)):
        clock.before(days=30 - 2 * number, hours=number)
        _submit(people[name], phase, answers(number, *skill), name="baseline")
        run_everything(folder / f"runs{number}")
    mine = people["Northwind Lab"]
    done = Submission.objects.get(participation__user=mine)
    clock.before(hours=3)
    failed = _submit(mine, phase, "\n".join(answers(3, 2.0, 1.0, 0.5, 0.0).splitlines()[:-40]), name="ensemble of 5")
    run_check(run_id=failed.run_id)
    clock.before(minutes=4)
    running = _submit(mine, phase, answers(5, 3.3, 1.9, 0.3, 0.0), name="calibrated")
    _run_halfway(running, clock)
    draft = draft_create(user=organiser, title="Night calls of birds", template="recidivism")
    clock.before(days=0)
    return Seeded(organiser, mine, competition, phase, draft, done, failed, running, people)


def _submit(user: User, phase: Phase, text: str, *, name: str) -> Submission:
    file = ContentFile(text.encode(), name="predictions.csv")
    made = submission_create(user=user, phase=phase, kind="predictions", file=file, name=name)
    return Submission.objects.select_related("run").get(pk=made.pk)


def answers(number: int, priors: float, age: float, noise: float, bias: float) -> str:
    """Predictions for the validation split: a logistic rule of two features, with noise and a lean."""
    draw = np.random.default_rng(number)
    with (_FOLDER / "data/validation/inputs.csv").open() as file:
        items = list(csv.DictReader(file))
    with (_FOLDER / "data/validation/attributes.csv").open() as file:
        races = {row["id"]: row["race"] for row in csv.DictReader(file)}
    out = io.StringIO()
    out.write("id,p_no_recidivism,p_recidivism\n")
    for item in items:
        lean = bias if races[item["id"]] == "African-American" else 0.0
        score = priors * 4 * float(item["priors_count"]) - age * 2 * float(item["age"]) + 0.1 + lean
        p = 1 / (1 + np.exp(-(score + noise * draw.normal())))
        out.write(f"{item['id']},{1 - p:.6f},{p:.6f}\n")
    return out.getvalue()


def _run_halfway(submission: Submission, clock: Clock) -> None:
    """A node has it, and tells what it writes."""
    run_check(run_id=submission.run_id)
    node = node_make("grid-7")
    claimed = run_claim(node=node, queue="cpu", kinds=["predictions"])
    if claimed is None:
        submission.run.refresh_from_db()
        raise RuntimeError(f"nobody took the run, which is {submission.run.status}: {submission.run.message}")
    told = [RunEvent(at="x", kind="log", message=line + "\n", data={"public": True}) for line in _LOG.splitlines()]
    told.append(RunEvent(at="x", kind="progress", message="metric:hsj", data={"stage": "metric:hsj", "percent": 62}))
    clock.before(minutes=1)
    events_append(node=node, run_id=submission.run_id, attempt=1, batch=EventBatch(events=tuple(told)))
