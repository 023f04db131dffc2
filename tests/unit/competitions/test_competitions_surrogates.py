"""Surrogates of a competition: checked, stored, kept from participants, and the same as long as scores rest on them."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rest_framework.test import APIClient

from tests.factories.server import bundle_folder, participation_make, submission_make, user_make
from touchstone.competitions.services import BundleError, competition_import
from touchstone.core.storage import blob_open

pytestmark = pytest.mark.django_db
INPUT = {"kind": "array", "shape": [2]}
TRANSFER = {"use": "robustness.transfer", "surrogates": ["near"], "attack": "pgd", "eps": 0.1}


def network(value: float = 1.0, features: int = 2) -> bytes:
    """A linear model as an ONNX file."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["y"], axis=1)], "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", features])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.full((features, 2), value, np.float32), "w")],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return made.SerializeToString()


@pytest.fixture
def folder(tmp_path):
    found = bundle_folder(
        tmp_path, input=INPUT, submission={"kinds": ["predictions", "model"]},
        metrics=[{"use": "performance.accuracy"}, TRANSFER], surrogates={"near": "models/near.onnx"},
    )  # fmt: skip
    rows = "".join(f"item{i},0.{i % 10},0.5\n" for i in range(40))
    (found / "data/test/inputs.csv").write_text("id,a,b\n" + rows)
    (found / "competition.yml").write_text(
        json.dumps(json.loads((found / "competition.yml").read_text()) | {"input": TABULAR})
    )
    (found / "models").mkdir()
    (found / "models/near.onnx").write_bytes(network())
    return found


TABULAR = {"kind": "tabular", "shape": [2], "features": ["a", "b"]}


def test_they_are_stored_and_given_to_nobody(folder) -> None:
    user = user_make()
    made = competition_import(user=user, archive=folder).competition
    (stored,) = made.surrogates
    assert stored["name"] == "near"
    with blob_open(sha256=stored["sha256"]) as file:
        assert file.read() == network()
    assert not competition_import(user=user, archive=folder).changed

    client = APIClient()
    told = client.get(f"/api/v1/competitions/{made.slug}").json()
    assert stored["sha256"] not in json.dumps(told)


@pytest.mark.parametrize(
    ("content", "text"), [(b"\x08\x07 not onnx", "near.onnx"), (network(features=3), "3")], ids=["no-onnx", "shape"]
)
def test_one_that_no_submission_could_be_is_refused(folder, content: bytes, text: str) -> None:
    (folder / "models/near.onnx").write_bytes(content)
    with pytest.raises(BundleError) as caught:
        competition_import(user=user_make(), archive=folder)
    assert {d.where for d in caught.value.defects} == {"surrogates.near"}
    assert text in caught.value.defects[0].message


def test_another_file_is_another_version_until_scores_rest_on_it(folder) -> None:
    user = user_make()
    first = competition_import(user=user, archive=folder).competition
    (folder / "models/near.onnx").write_bytes(network(2.0))
    second = competition_import(user=user, archive=folder)
    assert second.changed
    assert second.competition.surrogates != first.surrogates

    submission_make(participation_make(second.competition))
    (folder / "models/near.onnx").write_bytes(network(3.0))
    with pytest.raises(BundleError) as caught:
        competition_import(user=user, archive=folder)
    assert [(d.code, d.where) for d in caught.value.defects] == [("in_use", "surrogates.near")]

    (folder / "models/near.onnx").write_bytes(network(2.0))
    (folder / "models/far.onnx").write_bytes(network(3.0))
    spec = json.loads((folder / "competition.yml").read_text())
    more = {"near": "models/near.onnx", "far": "models/far.onnx"}
    (folder / "competition.yml").write_text(json.dumps(spec | {"surrogates": more}))
    added = competition_import(user=user, archive=folder).competition
    assert [item["name"] for item in added.surrogates] == ["near", "far"]
