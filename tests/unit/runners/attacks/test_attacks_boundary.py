import warnings

import numpy as np
import pytest

from runners.attacks.geometry import ask, distance
from tests.factories.attack_models import OneOutput, attacked, linear, right_digits, wrong
from tests.factories.runner_models import QUERIES, NetModel

RANGE = (-10.0, 10.0)


def test_distances_are_near_the_closed_form():
    model, x, y, exact = linear(size=40, n=32)
    found = attacked("boundary", model, x, y, norm="l2", value_range=RANGE, queries=2000)
    assert wrong(model, found, y).all()
    ratio = distance(found, x, "l2") / exact["l2"]
    assert ratio.min() >= 1 - 1e-6
    assert ratio.max() <= 1.03


def test_more_questions_bring_examples_nearer():
    model, x, y, _ = linear(size=40, n=16)
    medians = [
        np.median(distance(attacked("boundary", model, x, y, norm="l2", value_range=RANGE, queries=q), x, "l2"))
        for q in (200, 500, 1500)
    ]
    assert medians[0] > medians[1] > medians[2]


def test_items_that_are_wrong_already_are_left_alone():
    model, x, y, _ = linear(size=40, n=8)
    y = y.copy()
    y[:3] = 1 - y[:3]
    found = attacked("boundary", model, x, y, norm="l2", value_range=RANGE, queries=200)
    assert (found[:3] == x[:3]).all()
    assert (found[3:] != x[3:]).any(axis=1).all()


def test_without_any_start_nothing_is_returned():
    constant = NetModel([np.zeros((4, 2))], [np.array([1.0, 0.0])], access=QUERIES)
    x = np.full((3, 4), 0.5, dtype=np.float32)
    found = attacked("boundary", constant, x, np.zeros(3, dtype=np.int64), norm="l2", value_range=(0, 1), starts=5)
    assert (found == x).all()
    assert constant.queries == 3 * (1 + 5)


def test_an_example_never_moves_away():
    model, x, y = right_digits(20)
    few = attacked("boundary", model, x, y, norm="l2", value_range=(0, 1), queries=100)
    many = attacked("boundary", model, x, y, norm="l2", value_range=(0, 1), queries=1000)
    assert (distance(many, x, "l2") <= distance(few, x, "l2") + 1e-6).all()


def test_many_items_are_asked_about_in_several_blocks(monkeypatch):
    import runners.attacks.boundary as module

    model, x, y, exact = linear(size=40, n=16)
    monkeypatch.setattr(module, "BATCH_BYTES", 8 * 5 * 40 * 3)
    found = attacked("boundary", model, x, y, norm="l2", value_range=RANGE, queries=1000)
    assert max(model.seen[-50:]) <= 3 * 5
    assert np.median(distance(found, x, "l2") / exact["l2"]) <= 1.1


@pytest.mark.parametrize("engine", ["native", "art"])
@pytest.mark.parametrize(("name", "queries"), [("boundary", 1500), ("hop_skip_jump", 1000)])
def test_models_of_one_output_are_attacked(name, queries, engine):
    """A sigmoid's single column: its largest entry is always the first, so that nothing would ever be found."""
    model, x, y, exact = linear(size=20, n=10)
    model = OneOutput(model)
    assert model.predict(x).shape == (10, 1)
    assert (ask(model, x) == y).all()
    found = attacked(name, model, x, y, norm="l2", value_range=RANGE, queries=queries, engine=engine)
    assert (ask(model, found) != y).all()
    assert np.median(distance(found, x, "l2") / exact["l2"]) <= {"native": 1.1, "art": 1.5}[engine]


def test_models_of_one_output_are_attacked_by_square():
    model, x, y, exact = linear(size=20, n=10)
    eps = 1.5 * float(exact["linf"].max())
    found = attacked("square", OneOutput(model), x, y, eps=eps, queries=1000)
    assert wrong(model, found, y).all()


@pytest.mark.parametrize(("name", "queries", "share"), [("boundary", 1000, 50), ("hop_skip_jump", 1000, 50)])
def test_round_trips_are_a_fiftieth_of_arts_and_distances_no_longer(name, queries, share):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import art.attacks.evasion  # noqa: F401

    n = 100 if name == "hop_skip_jump" else 25
    calls, median = {}, {}
    for engine in ("native", "art"):
        model, x, y = right_digits(n)
        found = attacked(name, model, x, y, norm="l2", value_range=(0, 1), queries=queries, engine=engine)
        calls[engine] = model.calls / n * 100
        assert model.queries <= 1.2 * queries * n
        assert wrong(model, found, y).all()
        median[engine] = float(np.median(distance(found, x, "l2")))
    # Ours are the same for any number of items, so they count once for a hundred.
    ours = calls["native"] * n / 100
    assert ours <= calls["art"] / share
    assert median["native"] <= 1.1 * median["art"]
