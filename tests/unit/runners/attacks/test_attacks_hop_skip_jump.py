import warnings

import numpy as np
import pytest

from runners.attacks.geometry import distance
from runners.attacks.hop_skip_jump import hop_skip_jump
from tests.factories.runner_models import QUERIES, NetModel, digits, linear_model

WIDE = (-10.0, 10.0)


def rng():
    return np.random.default_rng(11)


def linear(n, size=40):
    draw = np.random.default_rng(3)
    w = draw.normal(size=size)
    x = draw.uniform(-1, 1, size=(n, size)).astype(np.float32)
    model = linear_model(w, 0.2, access=QUERIES)
    y = model.predict(x).argmax(axis=1)
    model.queries = model.calls = 0
    reach = np.abs(x.astype(np.float64) @ w + 0.2)
    return model, x, y, {"l2": reach / np.linalg.norm(w), "linf": reach / np.abs(w).sum()}


def attack(model, x, y, *, norm="l2", value_range=WIDE, **parameters):
    return hop_skip_jump(model, x, y, norm=norm, eps=1.0, value_range=value_range, rng=rng(), **parameters)


@pytest.mark.parametrize(
    ("norm", "size", "bound"), [("l2", 40, 1.03), ("linf", 40, 1.03), ("l2", 256, 1.12), ("linf", 256, 1.16)]
)
def test_distances_are_near_the_closed_form(norm, size, bound):
    model, x, y, exact = linear(32 if size == 40 else 16, size)
    found = attack(model, x, y, norm=norm, queries=2000)
    assert (model.predict(found).argmax(axis=1) != y).all()
    ratio = distance(found, x, norm) / exact[norm]
    assert ratio.min() >= 1 - 1e-6
    assert np.median(ratio) <= bound


def test_round_trips_do_not_depend_on_the_number_of_items():
    calls = {}
    for n in (4, 64):
        model, x, y, _ = linear(n)
        attack(model, x, y, queries=1000)
        calls[n] = model.calls
        assert model.queries <= 1000 * n
        assert model.queries >= 800 * n
    assert calls[64] <= 1.3 * calls[4]


def test_more_questions_bring_examples_nearer():
    _, x, y, exact = linear(16)
    medians = []
    for queries in (200, 1000, 5000):
        found = attack(linear(16)[0], x, y, queries=queries)
        medians.append(np.median(distance(found, x, "l2") / exact["l2"]))
    assert medians[0] > medians[1] > medians[2]


def test_items_that_are_wrong_already_are_left_alone():
    model, x, y, _ = linear(8)
    y = y.copy()
    y[:3] = 1 - y[:3]
    found = attack(model, x, y, queries=200)
    assert (found[:3] == x[:3]).all()
    assert (found[3:] != x[3:]).any(axis=1).all()


def test_without_any_start_nothing_is_returned():
    constant = NetModel([np.zeros((4, 2))], [np.array([1.0, 0.0])], access=QUERIES)
    x = np.full((3, 4), 0.5, dtype=np.float32)
    found = attack(constant, x, np.zeros(3, dtype=np.int64), value_range=(0.0, 1.0), queries=100, starts=5)
    assert (found == x).all()
    assert constant.queries == 3 * (1 + 5)


def test_a_start_is_drawn_where_no_other_item_gives_one():
    model, x, y, exact = linear(16)
    same = y == y[0]
    found = attack(model, x[same], y[same], queries=2000)
    assert np.median(distance(found, x[same], "l2") / exact["l2"][same]) < 1.1


def test_examples_stay_in_the_value_range_and_keep_their_shape():
    model, x, y = digits()
    x = x[:20].reshape(20, 1, 8, 8)
    found = attack(model, x, y[:20], value_range=(0.0, 1.0), queries=300)
    assert found.shape == x.shape
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1


def test_an_empty_batch_and_one_item():
    model, x, y, _ = linear(4)
    assert attack(model, x[:0], y[:0], queries=100).shape == (0, 40)
    assert (attack(model, x[:1], y[:1], queries=500) != x[:1]).any()


def test_distances_are_not_worse_than_arts():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from art.attacks.evasion import HopSkipJump
        from art.estimators.classification import BlackBoxClassifier

    model, x, y = digits()
    right = model.predict(x).argmax(axis=1) == y
    x, y = x[right][:10], y[right][:10]
    counted = NetModel(model.weights, model.biases)
    wrapped = BlackBoxClassifier(
        lambda z: counted.predict(np.asarray(z)).astype(np.float32), (64,), 10, clip_values=(0.0, 1.0)
    )
    np.random.seed(0)
    theirs = HopSkipJump(wrapped, norm=2, max_iter=10, max_eval=1000, init_eval=100, verbose=False).generate(x=x, y=y)
    budget = counted.queries // len(x)
    asked = NetModel(model.weights, model.biases)
    ours = attack(asked, x, y, value_range=(0.0, 1.0), queries=budget)
    assert (model.predict(ours).argmax(axis=1) != y).all()
    assert asked.calls < counted.calls / 5
    assert np.median(distance(ours, x, "l2")) <= 1.1 * np.median(distance(theirs, x, "l2"))
