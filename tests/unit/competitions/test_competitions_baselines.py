"""Baselines and starting kits: committed artifacts score what is written beside them."""

from __future__ import annotations

import csv
import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pyarrow.parquet as pq
import pytest
import torch
from onnx import numpy_helper
from ruamel.yaml import YAML

from scripts.competitions import train_garments, train_recidivism
from scripts.competitions.common import COMPETITIONS
from scripts.competitions.splits import Items, read_items

MODULES: dict[str, ModuleType] = {"recidivism": train_recidivism, "garments": train_garments}
KINDS = {"predictions", "model", "code", "container"}


def _baselines(slug: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = YAML(typ="safe").load(COMPETITIONS / slug / "baselines" / "baselines.yml")
    return listed


ALL = [pytest.param(slug, entry, id=f"{slug}-{entry['name']}") for slug in MODULES for entry in _baselines(slug)]


@pytest.fixture(autouse=True)
def _no_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing a submission must leave nothing in the competitions' folders."""
    monkeypatch.setattr("sys.dont_write_bytecode", True)


@cache
def _split(slug: str, split: str) -> Items:
    return read_items(COMPETITIONS / slug / "data" / split, MODULES[slug].CLASSES)


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        f"submitted_{path.parent.parent.parent.name}_{path.parent.name}", path
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _ask_onnx(path: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (answer,) = session.run(["y"], {"x": x})
    return np.asarray(answer, dtype=np.float64)


def _probabilities(slug: str, answer: np.ndarray) -> np.ndarray:
    assert np.isfinite(answer).all()
    if slug == "garments":  # logits
        shifted = np.exp(answer - answer.max(axis=1, keepdims=True))
        return shifted / shifted.sum(axis=1, keepdims=True)
    return np.asarray(answer)


def _read_predictions(path: Path, items: Items, classes: tuple[str, ...]) -> tuple[np.ndarray | None, np.ndarray]:
    if path.suffix == ".parquet":
        columns: dict[str, list[Any]] = pq.read_table(path).to_pydict()
    else:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        columns = {name: [row[name] for row in rows] for name in rows[0]}
    assert columns.pop("id") == items.ids
    if "prediction" in columns:
        assert list(columns) == ["prediction"]
        return None, np.array([classes.index(name) for name in columns["prediction"]])
    assert list(columns) == [f"p_{name}" for name in classes]
    answers = np.array([[float(value) for value in column] for column in columns.values()]).T
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-3)
    return answers, answers.argmax(1)


def _answer(slug: str, kind: str, path: Path, items: Items) -> tuple[np.ndarray | None, np.ndarray]:
    if kind == "predictions":
        return _read_predictions(path, items, MODULES[slug].CLASSES)
    raw = _ask_onnx(path, items.x) if kind == "model" else _import(path / "main.py").predict(items.x)
    answers = _probabilities(slug, raw)
    return answers, answers.argmax(1)


@pytest.mark.parametrize(("slug", "entry"), ALL)
def test_a_baseline_scores_what_is_expected_of_it(slug: str, entry: dict[str, Any]) -> None:
    assert set(entry) == {"name", "kind", "file", "phase", "message", "expected"}
    assert entry["phase"] == "development"
    items = _split(slug, "validation")
    answers, predicted = _answer(slug, entry["kind"], COMPETITIONS / slug / "baselines" / entry["file"], items)
    if slug == "recidivism":
        found = train_recidivism.expected(items, answers, predicted)
    else:
        assert answers is not None
        found = train_garments.expected(items, answers)
    assert found == pytest.approx(entry["expected"], abs=2e-6)


@pytest.mark.parametrize("slug", MODULES)
def test_there_is_a_baseline_of_each_kind_and_all_are_small(slug: str) -> None:
    entries = _baselines(slug)
    assert {entry["kind"] for entry in entries} == KINDS
    assert len({entry["name"] for entry in entries}) == len(entries)
    for path in (COMPETITIONS / slug / "baselines").rglob("*"):
        assert not path.is_file() or path.stat().st_size < 1_000_000, path


def test_baselines_reach_what_the_pages_promise() -> None:
    accuracy = {entry["name"]: entry["expected"]["performance.accuracy"] for entry in _baselines("garments")}
    assert accuracy["cnn"] >= 0.86
    assert accuracy["cnn"] > accuracy["perceptron-code"] > accuracy["linear"] > 0.8
    parity = "fairness.statistical_parity_difference[race]"
    fair = {entry["name"]: entry["expected"] for entry in _baselines("recidivism")}
    assert abs(fair["parity-mlp"][parity]) < 0.6 * abs(fair["mlp"][parity])
    for name in ("logistic", "mlp", "parity-mlp"):  # inside the gates of the main board
        assert fair[name]["performance.balanced_accuracy"] >= 0.55
        assert abs(fair[name][parity]) <= 0.3
    assert fair["majority"]["performance.balanced_accuracy"] == 0.5


def test_adversarial_training_pays_under_attack() -> None:
    items = _split("garments", "validation")
    x, y = torch.from_numpy(items.x[:200]), torch.from_numpy(items.y[:200])
    robust = {}
    for name in ("cnn", "robust-cnn"):
        network = train_garments.convolutional()
        stored = onnx.load(COMPETITIONS / "garments" / "baselines" / f"{name}.onnx").graph.initializer
        network.load_state_dict({part.name: torch.tensor(numpy_helper.to_array(part).copy()) for part in stored})
        torch.manual_seed(0)
        moved = train_garments.perturbed(network.eval(), x, y, steps=10)
        assert float((moved - x).abs().max()) <= train_garments.EPS + 1e-6
        robust[name] = float((network(moved).argmax(1) == y).double().mean())
    assert robust["cnn"] < 0.05
    assert robust["robust-cnn"] > 0.6


@pytest.mark.parametrize("slug", MODULES)
@pytest.mark.parametrize("place", ["starting_kit/code", "baselines"])
def test_an_image_copies_what_is_there(slug: str, place: str) -> None:
    folder = COMPETITIONS / slug / place
    (dockerfile,) = folder.rglob("Dockerfile")
    lines = dockerfile.read_text().splitlines()
    assert lines[0] == "FROM touchstone/base:1"
    (copied,) = (line.split()[1:-1] for line in lines if line.startswith("COPY"))
    assert {*copied, "Dockerfile"} == {path.name for path in dockerfile.parent.iterdir() if path.is_file()}


@pytest.mark.parametrize("slug", MODULES)
def test_the_starting_kit_makes_its_own_samples(slug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kit = COMPETITIONS / slug / "starting_kit"
    monkeypatch.setattr("sys.argv", ["train.py", str(COMPETITIONS / slug / "data"), str(tmp_path)])
    _import(kit / "train.py").main()
    items, classes = _split(slug, "validation"), MODULES[slug].CLASSES
    committed, _ = _read_predictions(kit / "predictions.csv", items, classes)
    made, predicted = _read_predictions(tmp_path / "predictions.csv", items, classes)
    assert committed is not None
    assert made is not None
    np.testing.assert_allclose(made, committed, atol=2e-3)
    for folder in (kit, tmp_path):
        np.testing.assert_allclose(_probabilities(slug, _ask_onnx(folder / "model.onnx", items.x)), made, atol=2e-3)
    served = _probabilities(slug, _import(kit / "code" / "main.py").predict(items.x))
    np.testing.assert_allclose(served, made, atol=2e-3)
    assert np.mean(predicted == items.y) > {"recidivism": 0.63, "garments": 0.8}[slug]
