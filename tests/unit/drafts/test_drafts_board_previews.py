"""The board that a draft would have: made-up entries, what moved, and how far weights can go."""

import pytest

from touchstone.drafts.board_forms import board_spec, keys_of, offer_from
from touchstone.drafts.board_previews import EXAMPLES, Entrant, ExampleResult, example_entrants, preview_of, swings_of
from touchstone.drafts.metric_parameters import KNOWN

OFFER = offer_from(
    [{"use": "performance.accuracy"}, {"use": "fairness.theil_index"}, {"use": "efficiency.latency"}], []
)
A, F = "performance.accuracy", "fairness.theil_index"


def _board(**more):
    return board_spec({"slug": "a", "rank_by": A, **more})


def _entrants(*pairs):
    made = []
    for name, accuracy, theil in pairs:
        results = {A: (accuracy, "maximise"), F: (theil, "minimise")}
        made.append(Entrant(name, False, {k: ExampleResult(k, v, v, v, d) for k, (v, d) in results.items()}))
    return made


@pytest.mark.parametrize("metric", sorted(KNOWN["metrics"]))
def test_made_up_numbers_are_possible(metric):
    use = {"use": metric, "attribute": "sex", "surrogates": ["s"]}
    keys = keys_of(offer_from([use], ["sex"]), {"sex": ["f"]})
    for entrant in example_entrants(keys):
        for key in keys:
            result, (low, high) = entrant.results[key.key], key.column.range
            if result.value is not None:
                assert result.low <= result.value <= result.high
                assert low is None or low <= result.low
                assert high is None or result.high <= high


def test_files_of_answers_cannot_be_asked_and_nothing_is_drawn():
    keys = keys_of(OFFER, {})
    first, again = example_entrants(keys), example_entrants(keys)
    assert first == again
    rows = preview_of(
        board=_board(rank_by="efficiency.latency"), before=None, offer=OFFER, entrants=first, real=False
    ).rows
    assert rows[-1].name == "File of answers"
    assert "not applicable" in rows[-1].unranked
    assert len(rows) == len(EXAMPLES)


def test_ranks_ties_gates_and_moves():
    entrants = _entrants(("a", 0.9, 0.5), ("b", 0.8, 0.1), ("c", 0.8, 0.2), ("d", 0.4, 0.0))
    old, new = _board(), _board(gates=[f"{A} >= 0.5"], rank_by=F)
    rows = preview_of(board=old, before=old, offer=OFFER, entrants=entrants, real=True).rows
    assert [(row.name, row.rank, row.moved) for row in rows] == [
        ("a", 1, None),
        ("b", 2, None),
        ("c", 2, None),
        ("d", 4, None),
    ]
    rows = preview_of(board=new, before=old, offer=OFFER, entrants=entrants, real=True).rows
    assert [(row.name, row.rank, row.moved) for row in rows] == [
        ("b", 1, 1),
        ("c", 2, 0),
        ("a", 3, -2),
        ("d", None, None),
    ]
    assert rows[-1].unranked == f"gate {A} >= 0.5: 0.4"


def test_how_far_weights_can_go():
    """Trust of x is (w·0.9 + v·0.2) / (w + v), of y (w·0.5 + v·0.4): equal where w is half of v."""
    board = _board(rank_by="trust", utility={A: 1, F: {"weight": 1, "worst": 1, "best": 0}})
    entrants = _entrants(("x", 0.9, 0.8), ("y", 0.5, 0.6))
    found = {swing.key: swing for swing in swings_of(board=board, offer=OFFER, entrants=entrants)}
    assert (found[A].down, found[A].up) == (pytest.approx(0.5), None)
    assert (found[F].down, found[F].up) == (None, pytest.approx(2.0))
    for weight, first in ((0.51, "x"), (0.49, "y")):
        board = _board(rank_by="trust", utility={A: weight, F: {"weight": 1, "worst": 1, "best": 0}})
        assert preview_of(board=board, before=None, offer=OFFER, entrants=entrants, real=True).rows[0].name == first
