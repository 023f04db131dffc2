"""What bad files get: a clear message that names the place, a final state, and nothing half-created."""

from __future__ import annotations

import io
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from livekit import Live, answers, competition, ended, publish, push, scores, told, write_bundle
from onnx import TensorProto, helper, numpy_helper

from touchstone_client.errors import ClientError

Spec = dict[str, Any]


def _unknown_key(spec: Spec) -> None:
    spec["titel"] = "Small"


def _wrong_type(spec: Spec) -> None:
    spec["submission"]["resources"]["memory"] = "plenty"


def _overlap(spec: Spec) -> None:
    spec["phases"] = [
        {"slug": "one", "split": "test", "opens": "2026-01-01T00:00Z", "closes": "2026-06-01T00:00Z"},
        {"slug": "two", "split": "test", "opens": "2026-05-01T00:00Z"},
    ]


def _missing_split(spec: Spec) -> None:
    spec["phases"][0]["split"] = "tset"


def _label_outside(spec: Spec) -> None:
    spec["task"] = {"kind": "binary", "classes": ["no", "maybe"], "positive": "maybe"}


DEFECTS: dict[str, tuple[Callable[[Spec], None], str, str]] = {
    "unknown key": (_unknown_key, "titel", "title"),
    "wrong type": (_wrong_type, "submission.resources.memory", "plenty"),
    "overlapping phases": (_overlap, "phases", "one"),
    "missing split": (_missing_split, "phases", "tset"),
    "label outside the classes": (_label_outside, "", "yes"),
}


@pytest.mark.parametrize("name", list(DEFECTS))
def test_defective_competition_is_refused_as_a_whole(live: Live, tmp_path: Path, name: str) -> None:
    mutate, where, word = DEFECTS[name]
    spec = competition()
    mutate(spec)
    organiser = live.person("organiser", organise=True)

    with pytest.raises(ClientError) as caught:
        push(organiser, write_bundle(tmp_path / "bundle", spec))

    texts = [f"{d.where} {d.message} {d.hint}" for d in caught.value.details]
    assert any(word in text for text in texts), texts
    assert any(where in d.where for d in caught.value.details), texts
    assert spec["slug"] not in [found.slug for found in organiser.competitions()]


def test_all_defects_are_told_at_once(live: Live, tmp_path: Path) -> None:
    spec = competition()
    for mutate in (_unknown_key, _wrong_type, _missing_split):
        mutate(spec)
    organiser = live.person("organiser", organise=True)

    with pytest.raises(ClientError) as caught:
        push(organiser, write_bundle(tmp_path / "bundle", spec))

    texts = " ".join(f"{d.where} {d.message}" for d in caught.value.details)
    assert all(word in texts for word in ("titel", "plenty", "tset")), texts


def _csv(change: Callable[[list[str]], list[str]]) -> bytes:
    return ("\n".join(change(answers().splitlines())) + "\n").encode()


def _probabilities(*, total: float = 1.0, nan: bool = False) -> bytes:
    rows = [f"i{k},{'nan' if nan and k == 7 else '0.25'},{total - 0.25}" for k in range(40)]
    return "\n".join(["id,p_no,p_yes", *rows]).encode()


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("answers.csv", answers())
    return buffer.getvalue()


#: (file, a word that the message must hold)
PREDICTIONS: dict[str, tuple[bytes, str]] = {
    "missing ids": (_csv(lambda rows: rows[:-1]), "i39"),
    "doubled id": (_csv(lambda rows: [*rows, rows[5]]), "i4"),
    "unknown id": (_csv(lambda rows: [*rows, "stranger,no"]), "stranger"),
    "NaN": (_probabilities(nan=True), "i7"),
    "wrong columns": (_csv(lambda rows: ["id,guess", *rows[1:]]), "guess"),
    "unknown class": (_csv(lambda rows: [rows[0], "i0,perhaps", *rows[2:]]), "perhaps"),
    "does not sum to one": (_probabilities(total=0.75), "0.75"),
    "a zip": (_zip(), "zip"),
    "empty": (b"", "empty"),
}


@pytest.fixture(scope="module")
def open_competition(live: Live, tmp_path_factory: pytest.TempPathFactory) -> str:
    return publish(live, tmp_path_factory.mktemp("open"))


@pytest.mark.parametrize("name", list(PREDICTIONS))
def test_bad_predictions_end_with_a_clear_message(live: Live, open_competition: str, tmp_path: Path, name: str) -> None:
    data, word = PREDICTIONS[name]
    client = live.person()
    client.join(open_competition, accept_terms=True)
    file = tmp_path / "answers.csv"
    file.write_bytes(data)

    message = _refused(client, open_competition, file, "predictions")

    assert word in message.lower() if word.islower() else word in message, message
    assert client.quota(open_competition).used_total == 0


def _refused(client: Any, slug: str, file: Path, kind: str) -> str:
    """Submit something that must not be run, refused at once or a little later; all the texts its owner gets."""
    try:
        done = ended(client, client.submit(slug, "open", file, kind=kind))
    except ClientError as error:
        return f"{error.message} {error.why} {error.hint} {error.details}"
    assert done.status == "rejected"
    assert client.results(done.id).items == ()
    return told(done)


def _linear_onnx(features: int) -> bytes:
    weights = numpy_helper.from_array(np.ones((features, 2), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["y"], axis=1)],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", features])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("data", "word"), [(_linear_onnx(2)[:-40], "onnx"), (_linear_onnx(5), "5")], ids=["truncated", "other inputs"]
)
def test_bad_model_ends_with_a_clear_message(
    live: Live, sandbox: str, open_competition: str, tmp_path: Path, data: bytes, word: str
) -> None:
    client = live.person()
    client.join(open_competition, accept_terms=True)
    file = tmp_path / "model.onnx"
    file.write_bytes(data)

    done = ended(client, client.submit(open_competition, "open", file, kind="model"))

    assert done.status in ("rejected", "failed")
    assert done.verdict in ("", "invalid_output")
    assert word in told(done).lower()
    assert client.results(done.id).items == ()


def test_good_model_is_scored_in_the_same_competition(
    live: Live, sandbox: str, open_competition: str, tmp_path: Path
) -> None:
    """The tests above could pass because nothing works; this one shows that it does."""
    client = live.person()
    client.join(open_competition, accept_terms=True)
    file = tmp_path / "model.onnx"
    file.write_bytes(_linear_onnx(2))

    done = ended(client, client.submit(open_competition, "open", file, kind="model"))

    assert done.status == "scored", done.explanation
    assert 0 < (scores(client, done)["performance.accuracy"] or 0) < 1


def _sent_to(client: Any, slug: str, phase: str, tmp_path: Path) -> ClientError:
    file = tmp_path / "answers.csv"
    file.write_text(answers())
    with pytest.raises(ClientError) as caught:
        client.submit(slug, phase, file, kind="predictions")
    assert caught.value.hint or caught.value.why
    return caught.value


def test_out_of_time_over_quota_and_not_joined_are_told_apart(live: Live, tmp_path: Path) -> None:
    phases: list[Spec] = [
        {"slug": "past", "split": "test", "opens": "2025-01-01T00:00Z", "closes": "2025-02-01T00:00Z"},
        {
            "slug": "open",
            "split": "test",
            "opens": "2026-01-01T00:00Z",
            "closes": "2090-01-01T00:00Z",
            "limits": {"total": 1},
        },
        {"slug": "future", "split": "test", "opens": "2090-01-01T00:00Z"},
    ]
    slug = publish(live, tmp_path, competition(phases=phases, submission={"kinds": ["predictions"]}))
    client = live.person()

    assert "join" in str(vars(_sent_to(client, slug, "open", tmp_path))).lower()
    client.join(slug, accept_terms=True)
    assert "2025" in str(_sent_to(client, slug, "past", tmp_path))
    assert "2090" in str(_sent_to(client, slug, "future", tmp_path))
    assert list(client.submissions(slug)) == []

    file = tmp_path / "answers.csv"
    first = client.submit(slug, "open", file, kind="predictions")
    over = _sent_to(client, slug, "open", tmp_path)
    assert over.status == 429, over
    assert ended(client, first).status == "scored"
    assert len(list(client.submissions(slug))) == 1

    stranger = f"nowhere-{uuid.uuid4().hex[:6]}"
    assert _sent_to(client, stranger, "open", tmp_path).status == 404
