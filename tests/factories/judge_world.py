"""A small competition on disk and a model that is asked in this process: what the tests of the judge share."""

import csv
import json
from pathlib import Path

import numpy as np

from runners.contract import RunResult, RunSpec, SplitRef, SubmissionRef, Verdict
from runners.errors import ParticipantFault
from runners.judge import LocalFiles, evaluate
from runners.spec.models import (
    AttributeSpec,
    InputSpec,
    MetricUse,
    ResourceSpec,
    SubmissionKind,
    TaskSpec,
)
from tests.factories.runner_models import NetModel

N = 120
W = np.array([1.0, -2.0, 0.5])
#: Items of the sample that are asked again to time the model: two sizes of question, twice.
TIMED = 2 * (N + N // 4)


def write(path: Path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


class World:
    """A competition on disk: three numbers an item, yes where w·x > 0, a group, five items a cluster."""

    def __init__(self, folder: Path) -> None:
        draw = np.random.default_rng(5)
        self.folder = folder
        self.x = draw.uniform(-1, 1, (N, 3)).astype(np.float32)
        self.labels = np.where(self.x @ W + draw.normal(size=N) * 0.3 > 0, "yes", "no")
        self.ids = [f"i{i:03}" for i in range(N)]
        self.split(folder / "split", slice(None))
        self.split(folder / "sample", slice(0, 10))
        (folder / "submission").mkdir()
        (folder / "work").mkdir()
        self.events = []

    def split(self, folder, rows):
        names = ["a", "b", "c"]
        write(
            folder / "inputs.csv",
            [["id", *names], *([i, *x] for i, x in zip(self.ids[rows], self.x[rows].tolist(), strict=True))],
        )
        write(folder / "labels.csv", [["id", "label"], *zip(self.ids[rows], self.labels[rows], strict=True)])
        groups = ["u" if i % 3 else "p" for i in range(N)][rows]
        write(folder / "attributes.csv", [["id", "group"], *zip(self.ids[rows], groups, strict=True)])

    def spec(self, kind, *metrics, **more):
        return RunSpec(
            run="r1", attempt=2, competition="c", phase="p",
            submission=SubmissionRef(id="s", kind=SubmissionKind(kind)),
            task=TaskSpec(kind="binary", classes=("no", "yes"), positive="yes", favourable="yes"),
            input=InputSpec(kind="tabular", shape=(3,), features=("a", "b", "c"), range=(-1, 1)),
            attributes={"group": AttributeSpec(privileged="p")},
            resources=ResourceSpec(time=60), metrics=tuple(MetricUse.model_validate(m) for m in metrics),
            split=SplitRef(name="test", visibility="hidden", digest="", files=()),
            sample=SplitRef(name="sample", visibility="public", digest="", files=()), seed=9, **more,
        )  # fmt: skip

    def predictions(self, rows=None):
        p = 1 / (1 + np.exp(-(self.x @ W)))
        write(self.folder / "submission" / "p.csv", [["id", "score"], *(rows or zip(self.ids, p, strict=True))])

    def evaluate(self, spec, engine=None, **more) -> RunResult:
        sample, validation = self.folder / "sample", self.folder / "validation"
        files = LocalFiles(
            split=self.folder / "split",
            sample=sample if sample.is_dir() else None,
            submission=self.folder / "submission",
            validation=validation if validation.is_dir() else None,
        )
        result = evaluate(
            spec=spec, files=files, engine=engine, workdir=self.folder / "work", emit=self.events.append, **more
        )
        json.dumps(result.model_dump(mode="json"), allow_nan=False)
        return result


ACCURACY = {"use": "performance.accuracy"}
PARITY = {"use": "fairness.statistical_parity_difference", "attribute": "group"}
PGD = {"use": "robustness.attack", "as": "pgd", "attack": "pgd", "eps": 0.1, "items": 40}
HSJ = {"use": "robustness.attack", "as": "hsj", "attack": "hop_skip_jump", "norm": "l2", "eps": 0.2, "queries": 100}
LATENCY = {"use": "efficiency.latency", "repeats": 30}


class FakeEngine:
    name = "fake"
    takes_images = True
    patience = 0.0
    devices = None

    def adopt(self, job):
        return None

    def has_image(self, image):
        return image == "here"


class FakeServed(NetModel):
    """A model as `open_model` gives it; fails on purpose after `dies_after` items."""

    def __init__(self, access=frozenset({"queries", "gradients"}), dies_after=10**9):
        super().__init__([np.column_stack([0 * W, W])], [np.zeros(2)], access=access)
        self.offer = {}
        self.dies_after, self.closed, self.rows, self.adopted = dies_after, False, [], False
        self.waited = self.reserve = 0.0
        self.bridged = self.samples_memory = False

    def predict(self, x):
        if self.queries + len(x) > self.dies_after:
            raise ParticipantFault(Verdict.MEMORY, "needed too much", hint="use less")
        self.rows.append(x)
        return super().predict(x)

    def remaining(self):
        return 60.0

    def excuse(self, seconds):
        pass

    def logs(self):
        return b"hello\x00 \xff"

    def peak_memory(self):
        return 12345

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True
