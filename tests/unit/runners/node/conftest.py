import pytest

from runners.contract import FileRef, RunSpec, SplitRef, SubmissionRef
from runners.spec.models import MetricUse, ResourceSpec, SubmissionKind, TaskSpec


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
