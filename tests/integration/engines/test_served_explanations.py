"""A submission in a real sandbox that explains itself, from its program to the metric."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from runners.context import MetricContext
from runners.engines.bubblewrap import BubblewrapEngine
from runners.measure import measure
from runners.models.opening import open_model
from runners.spec.models import InputSpec, ResourceSpec, TaskSpec

INPUT = InputSpec(kind="array", shape=(4,))
TASK = TaskSpec(kind="binary", classes=("no", "yes"), positive="yes")
PROGRAM = """
import numpy as np
from touchstone_client import serve

W = np.array([3.0, -2.0, 1.0, 0.5])

def predict(x):
    p = 1 / (1 + np.exp(0.5 - x @ W))
    return np.column_stack([1 - p, p])

def explain(x, target):
    return x * W * np.where(target == 1, 1.0, -1.0)[:, None]

serve(predict, explain=explain)
"""


def test_its_own_maps_are_measured(run_name: str, tmp_path: Path) -> None:
    """All items are ones: deleting by the exact maps leaves the margins 2, -1, -2, -2.5 and -0.5."""
    (tmp_path / "main.py").write_text(PROGRAM)
    x = np.ones((6, 4), dtype=np.float32)
    with open_model(
        BubblewrapEngine(), kind="code", folder=tmp_path, input=INPUT, task=TASK, resources=ResourceSpec(start=20.0),
        run=run_name, attempt=1, workdir=tmp_path, deadline=time.monotonic() + 30,
    ) as model:  # fmt: skip
        p = model.predict(x)
        ctx = MetricContext(
            task=TASK, ids=np.array([f"i{i}" for i in range(6)], dtype=object), labels=np.ones(6, dtype=np.int64),
            predictions=p.argmax(axis=1), probabilities=p, inputs=x, input=INPUT, model=model,
        )  # fmt: skip
        found = {r.key: r for r in measure("explainability.deletion_insertion", "x", {"baseline": 0.0}, ctx)}
    going = 1 / (1 + np.exp(-np.array([2.0, -1.0, -2.0, -2.5, -0.5])))
    assert found["x.deletion"].value == pytest.approx(np.trapezoid(going, dx=0.25), abs=1e-6)
    assert found["x.deletion"].details["source"] == "submission"
