"""What `init` makes of a ready-made competition can be sent as it is, and beats guessing."""

from __future__ import annotations

import ast
import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from touchstone.accounts.models import User
from touchstone_client import settings
from touchstone_client.packing import packed

pytestmark = pytest.mark.django_db(transaction=True)
RECIDIVISM = Path(__file__).resolve().parents[3] / "competitions" / "recidivism"


@pytest.fixture
def recidivism(server: str, olga: User) -> str:
    """A competition as the repository has it, on the server."""
    from touchstone.competitions.services import competition_import

    with packed(RECIDIVISM) as archive, archive.open("rb") as file:
        return str(competition_import(user=olga, archive=file).competition.slug)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def _balanced_accuracy(predictions: Path) -> float:
    with (RECIDIVISM / "data" / "validation" / "labels.csv").open() as file:
        truth = {row["id"]: row["label"] for row in csv.DictReader(file)}
    with predictions.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["id"] for row in rows} == set(truth)
    right: dict[str, list[bool]] = {label: [] for label in set(truth.values())}
    for row in rows:
        said = max(right, key=lambda label, row=row: float(row[f"p_{label}"]))
        right[truth[row["id"]]].append(said == truth[row["id"]])
    return sum(sum(found) / len(found) for found in right.values()) / len(right)


def test_every_kind_can_be_sent_as_it_is(
    run: Callable, recidivism: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {
        "predictions": {"predictions.csv"},
        "model": {"model.onnx"},
        "code": {"main.py", "weights.npz", ".touchstoneignore"},
        "container": {"main.py", "weights.npz", "Dockerfile", ".dockerignore"},
    }
    for kind in made:
        done = run("init", recidivism, kind, "--kind", kind)
        assert (done.code, done.out) == (0, f"{kind}\n"), done.err
        names = {path.name for path in (here / kind).iterdir()}
        assert names >= {*made[kind], "README.md", "train.py", "data", settings.PROJECT_FILE}
        text = (here / kind / "README.md").read_text()
        assert "Fair recidivism prediction" in text
        assert "{{" not in text
        for source in (here / kind).glob("*.py"):
            ast.parse(source.read_text())
    assert _balanced_accuracy(here / "predictions" / "predictions.csv") > 0.6
    assert 'FEATURES: tuple[str, ...] = ("age", ' in (here / "code" / "train.py").read_text()
    monkeypatch.setenv("TOUCHSTONE_URL", "http://127.0.0.1:9")  # what follows needs no server
    for kind in made:
        found = run("validate", kind, "--json")
        assert found.code == 0, found.out
        checked = found.json["checked"]
        assert (checked["kind"], checked["phase"], checked["defects"]) == (kind, "development", [])
        assert not [note for note in checked["notes"] if "not checked" in note]


def _nothing_is_overwritten_unasked(run: Callable, recidivism: str, here: Path) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "main.py").write_text("# my own\n")
    done = run("init", recidivism, "mine", "--kind", "code")
    assert done.code == 2
    assert "it has main.py already" in done.err
    assert [path.name for path in (here / "mine").iterdir()] == ["main.py"]
    assert run("init", recidivism, "mine", "--kind", "code", "--force").code == 0
    assert "my own" not in (here / "mine" / "main.py").read_text()


def _kinds_that_are_not_taken(run: Callable, recidivism: str, here: Path) -> None:
    before = {path.name for path in here.iterdir()}
    for kind, words in (("endpoint", "takes no endpoint"), ("poem", "no kind 'poem'")):
        done = run("init", recidivism, "--kind", kind)
        assert done.code == 2
        assert words in done.err
    assert run("init", f"{recidivism}/never").code == 2
    assert {path.name for path in here.iterdir()} == before


def _every_defect_of_a_predictions_file_at_once(run: Callable, recidivism: str, here: Path) -> None:
    run("init", recidivism, "wrong", "--kind", "predictions")
    file = here / "wrong" / "predictions.csv"
    lines = file.read_text().splitlines()
    lines[2] = lines[2].partition(",")[0] + ",1.5,0.5"
    lines[3] = "p9x," + lines[3].partition(",")[2]
    file.write_text("\n".join(lines) + "\n")
    done = run("validate", "wrong", "--json")
    assert done.code == 7
    found = {item["code"]: item for item in done.json["checked"]["defects"]}
    assert set(found) == {"missing_ids", "unknown_ids", "out_of_range"}
    assert (found["out_of_range"]["file"], found["out_of_range"]["line"]) == ("predictions.csv", 3)
    assert found["out_of_range"]["where"] == "p_no_recidivism"
    shown = run("validate", "wrong")
    assert shown.code == 7
    assert "predictions.csv:3  p_no_recidivism" in shown.out
    assert "3 defects in predictions.csv" in shown.err


def _files_of_other_kinds(run: Callable, recidivism: str, here: Path) -> None:
    (here / "model.onnx").write_bytes(b"\x00\x01 nothing")
    (here / "broken.zip").write_bytes(b"PK not a zip")
    (here / "image.tar").write_bytes(b"\x00" * 2048)
    for name in ("model.onnx", "broken.zip", "image.tar"):
        done = run("validate", name, "-c", f"{recidivism}/development", "--json")
        assert done.code == 7, name
        assert done.json["checked"]["defects"][0]["hint"]
    assert run("validate", "model.onnx").code == 2, "nothing says for what"
    assert run("validate", "https://a.example.org", "-c", recidivism).code == 7


def test_what_is_refused(run: Callable, recidivism: str, here: Path) -> None:
    _nothing_is_overwritten_unasked(run, recidivism, here)
    _kinds_that_are_not_taken(run, recidivism, here)
    _every_defect_of_a_predictions_file_at_once(run, recidivism, here)
    _files_of_other_kinds(run, recidivism, here)
