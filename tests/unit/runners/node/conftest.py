from pathlib import Path

import pytest

import runners.judge
from runners.contract import FileRef, RunSpec, SplitRef, SubmissionRef
from runners.node.attempt import Attempt
from runners.spec.models import MetricUse, ResourceSpec, SubmissionKind, TaskSpec
from tests.factories.node_attempts import Engine, Server, attempt_make


@pytest.fixture
def run_spec() -> RunSpec:
    file = FileRef(name="labels.csv", sha256="0" * 64, size=1, url="http://localhost/x")
    return RunSpec(
        run="7e5c", attempt=1, competition="demo", phase="final", seed=1,
        submission=SubmissionRef(id="s1", kind=SubmissionKind.PREDICTIONS, files=(file,)),
        task=TaskSpec(kind="binary", classes=("no", "yes")), input=None, attributes={}, resources=ResourceSpec(time=5),
        metrics=(MetricUse.model_validate({"use": "performance.accuracy", "as": "acc"}),),
        split=SplitRef(name="test", visibility="hidden", digest="0" * 64, files=(file,)),
    )  # fmt: skip


@pytest.fixture
def attempt_of(tmp_path: Path, run_spec: RunSpec, monkeypatch: pytest.MonkeyPatch):
    """Makes an attempt: of a server, the function that judges, and perhaps an engine."""
    monkeypatch.setattr("runners.node.attempt._RENEW_S", 0.1)

    def make(server: Server, evaluate, engine: Engine | None = None) -> Attempt:
        monkeypatch.setattr(runners.judge, "evaluate", evaluate)
        return attempt_make(tmp_path, run_spec, server, engine)

    return make
