"""A board of a draft: from fields to its part of competition.yml and back."""

import pytest

from touchstone.drafts.board_forms import (
    board_spec,
    gate_row,
    gate_text,
    keys_of,
    new_board,
    number_of,
    offer_from,
    rankable,
    read_board,
    shown_board,
)

USES = [
    {"use": "performance.accuracy"}, {"use": "fairness.disparate_impact", "attribute": "sex"}, {"use": "made.up"}, 5,
    {"use": "fairness.selection_rate", "attribute": "sex"}, {"use": "efficiency.latency", "as": "3"},
    {"use": "robustness.attack", "as": "pgd", "attack": "pgd", "eps": 0.1},
]  # fmt: skip
OFFER = offer_from(USES, ["sex"])
BODY = {
    "slug": "main", "title": "Trust", "phase": "final", "rank_by": "trust",
    "columns": ["trust", "pgd.robust_accuracy", "performance.accuracy"],
    "gates": ["performance.accuracy >= 0.5", "abs(fairness.disparate_impact[sex]) <= 1.2"],
    "utility": {"performance.accuracy": {"weight": 2}, "pgd.robust_accuracy": {"weight": 0.5, "worst": 0.1, "best": 1}},
    "entry": "last",
}  # fmt: skip


def _posted(board):
    """What the form sends of a board."""
    posted = {name: board.body.get(name, "") for name in ("slug", "title", "phase", "rank_by", "entry")}
    for key, (weight, worst, best) in board.weights.items():
        posted |= {f"weight:{key}": weight, f"worst:{key}": worst, f"best:{key}": best}
    lists = {
        "columns": board.body.get("columns", []), "gate_text": [row.text for row in board.gates if row.text],
        "gate_key": [row.key for row in board.gates], "gate_op": [row.op for row in board.gates],
        "gate_bound": [row.bound for row in board.gates],
    }  # fmt: skip
    return posted, lists


@pytest.mark.parametrize("body", [BODY, {"slug": "a", "rank_by": "performance.accuracy"}])
def test_there_and_back(body):
    board = shown_board(body)
    posted, lists = _posted(board)
    found = read_board(posted, lists, body)
    assert (found.body, found.problems) == (body, {})
    assert board_spec(found.body) is not None


def test_columns_keep_their_order_and_new_ones_follow():
    lists = {"columns": ["performance.accuracy", "pgd.success_rate", "pgd.robust_accuracy"]}
    found = read_board({"slug": "a"}, lists, BODY)
    assert found.body["columns"] == ["pgd.robust_accuracy", "performance.accuracy", "pgd.success_rate"]


@pytest.mark.parametrize("text", ["a >= 0.5", "abs(b[x=y]) < 3", "c > -2", "nonsense"])
def test_gates_there_and_back(text):
    assert gate_text(gate_row(text)) == text


def test_what_cannot_be_read_is_told_and_kept():
    lists = {"gate_key": ["", "performance.accuracy"], "gate_op": [">=", "??"], "gate_bound": ["1", "half"]}
    posted = {"slug": "a", "weight:x": "much", "weight:y": "-1", "weight:z": "0", "worst:z": "1", "weight:w": "1"}
    found = read_board(posted, lists, {})
    assert set(found.problems) == {"gate-0", "weight:x", "weight:y"}
    assert found.weights["x"] == ("much", "", "")
    assert found.gates[0].bound == "half"
    assert found.body["utility"] == {"w": {"weight": 1}}


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("0.5", 0.5), ("−2", -2), ("1e999", None), ("nan", None), ("", None)]
)
def test_numbers(text, number):
    assert number_of(text) == number


def test_keys_with_titles_groups_and_anchors():
    keys = {key.key: key for key in keys_of(OFFER, {"sex": ["f", "m"]}, ["fairness.selection_rate[sex=x]", "no.such"])}
    assert keys["fairness.selection_rate[sex=f]"].title == "Selection rate by group (sex=f)"
    assert "fairness.selection_rate[sex=x]" in keys
    assert "no.such" not in keys
    assert keys["pgd.success_rate"].title == "Attack success rate"
    assert (keys["pgd.success_rate"].worst, keys["pgd.success_rate"].best) == (1.0, 0.0)
    assert (keys["fairness.disparate_impact[sex]"].worst, keys["fairness.disparate_impact[sex]"].best) == (0.0, 1.0)


def test_what_ranks():
    assert "pgd.queries" not in rankable(OFFER)
    assert rankable(OFFER)[-1] == "trust"
    assert new_board(OFFER, [])["rank_by"] == "performance.accuracy"
    assert new_board(OFFER, ["main", "board-2"])["slug"] == "board-3"


@pytest.mark.parametrize("body", [{}, {"slug": "A b", "rank_by": "x"}, {"slug": "a", "rank_by": "x", "gates": ["??"]}])
def test_what_is_no_board(body):
    assert board_spec(body) is None
