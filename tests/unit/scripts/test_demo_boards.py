"""Leaderboards as text."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from scripts.demo_boards import board_text
from scripts.demo_content import Baseline, Sent
from scripts.demo_summary import Ended, wrong
from scripts.engines import Choice
from touchstone_client import types as t


def _row(rank: int | None, name: str, value: float | None, unranked: str = "") -> t.BoardRow:
    text = "–" if value is None else f"{value:.3f}"
    low, high = (None, None) if value is None else (value - 0.1, value + 0.1)
    score = t.Score(text=text, value=value, low=low, high=high)
    return t.BoardRow(rank=rank, tied=False, participant=name, scores={"gap": score}, unranked=unranked)


def test_table_has_intervals_and_reasons() -> None:
    board = t.Board(
        competition="c", phase="p", slug="b", title="Trust", version=1, total=2,
        columns=(t.BoardColumn(key="gap", title="Statistical parity difference (race)"),),
        rows=(_row(1, "Ada", 0.05), _row(None, "Bob", None, "gap: not applicable")),
    )  # fmt: skip

    assert board_text(board).splitlines() == [
        "Trust (c/p/b)",
        "",
        "                   Statistical parity",
        "rank  participant  difference (race)",
        "----  -----------  ---------------------",
        "1     Ada          0.050 [−0.050, 0.150]",
        "-     Bob          –",
        "  Bob: gap: not applicable",
    ]


def test_advice_names_each_problem_and_a_way_out() -> None:
    choice = Choice(None, [{"name": "docker", "problems": ["no daemon"]}, {"name": "bubblewrap", "problems": []}])

    advice = choice.advice()

    assert "docker: no daemon" in advice
    assert "bubblewrap: not available" in advice
    assert "unprivileged_userns_clone" in advice
    assert choice.for_node == "auto"


def _ended(*, status: str = "scored", value: float | None = 0.8) -> Ended:
    baseline = Baseline("c", "linear", "model", Path("m.onnx"), "p", "", {"performance.accuracy": 0.8})
    run = t.Submission(
        id="1", competition="c", phase="p", kind="model", status=status, final=True, participant="Ada", message="",
        created_at=datetime(2026, 1, 1, tzinfo=UTC), verdict="" if status == "scored" else "crash",
    )  # fmt: skip
    score = t.MetricValue(
        key="performance.accuracy", title="Accuracy", metric="performance.accuracy", pillar="performance", value=value,
        direction="maximise", state="ok",
    )  # fmt: skip
    results = t.Results(submission="1", status=status, final=True, feedback="full", items=(score,))
    return Ended(Sent(baseline, "1", "ada"), run, results)


def test_expected_scores_are_not_wrong() -> None:
    assert wrong([_ended(), _ended(value=0.801)]) == []


def test_other_scores_and_other_ends_are_wrong() -> None:
    found = wrong([_ended(value=0.7), _ended(value=None), _ended(status="failed")])

    assert found == [
        "c/linear: performance.accuracy is 0.7, expected 0.8",
        "c/linear: performance.accuracy is None, expected 0.8",
        "c/linear: failed (crash)",
    ]
