import warnings

import numpy as np
import pytest

from runners.attacks.geometry import distance, margin
from runners.attacks.tiles import inside, places, planes, share, sides, twin_peaks, window
from tests.factories.attack_models import attacked, linear, right_digits, rng, wrong


@pytest.mark.parametrize(("norm", "reached"), [("linf", 0.95), ("l2", 0.7)])
def test_square_fools_a_linear_model_within_the_closed_form(norm, reached):
    model, x, y, exact = linear(size=20)
    eps = float(np.median(exact[norm]))
    found = attacked("square", model, x, y, norm=norm, eps=eps, queries=2000)
    broken = wrong(model, found, y)
    assert not broken[exact[norm] > eps * (1 + 1e-6)].any(), "nothing can be fooled beyond the exact distance"
    assert broken[exact[norm] < reached * eps].all()
    assert (exact[norm] < reached * eps).sum() >= 10


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_more_questions_fool_no_fewer(norm):
    model, x, y = right_digits(150)
    eps = {"linf": 0.12, "l2": 0.8}[norm]
    few, many = (
        int(wrong(model, attacked("square", model, x, y, norm=norm, eps=eps, value_range=(0, 1), queries=q), y).sum())
        for q in (10, 500)
    )
    assert few < many


def test_each_round_is_one_question_about_the_items_that_hold_out():
    model, x, y = right_digits(50)
    found = attacked("square", model, x, y, eps=0.1, value_range=(0, 1), queries=200)
    assert model.calls == 200
    assert model.seen[-200] == 50
    assert model.seen[-1] == (~wrong(model, found, y)).sum()
    assert all(later <= earlier for earlier, later in zip(model.seen[-201:-1], model.seen[-200:-1], strict=False))


def test_linf_examples_are_at_either_end_of_each_value():
    model, x, y = right_digits(50)
    found = attacked("square", model, x, y, eps=0.1, value_range=(0, 1), queries=200)
    changed = wrong(model, found, y)
    ends = np.minimum(np.abs(found - np.clip(x - 0.1, 0, 1)), np.abs(found - np.clip(x + 0.1, 0, 1)))
    assert changed.any()
    assert ends[changed].max() < 1e-6


def test_items_of_any_shape_are_attacked():
    for shape in ((64,), (8, 8), (1, 8, 8), (4, 4, 4)):
        model, x, y = right_digits(40, shape)
        for norm, eps in (("linf", 0.15), ("l2", 1.0)):
            found = attacked("square", model, x, y, norm=norm, eps=eps, value_range=(0, 1), queries=200)
            assert found.shape == x.shape
            assert wrong(model, found, y).mean() > 0.3


def test_shares_follow_the_papers_schedule():
    # Section 3.2: p is halved at iteration 10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000 of 10 000.
    at = [0, 11, 51, 201, 501, 1001, 2001, 4001, 6001, 8001]
    assert [share(0.8, number, 10_000) for number in at] == [0.8 / 2**k for k in range(10)]
    assert share(0.8, 10, 10_000) == 0.8
    assert share(0.8, 2, 1000) == 0.4


def test_rectangles_have_their_share_and_stay_inside():
    assert sides(0.25, 8, 8) == (4, 4)
    assert sides(0.5, 1, 64) == (1, 32)
    assert sides(1e-9, 8, 8) == (1, 1)
    assert sides(1e-9, 8, 8, 3) == (3, 3)
    assert sides(1e-9, 1, 64, 3) == (1, 3)
    draw = rng()
    for size in ((1, 1), (3, 5), (8, 8)):
        top, left = places(500, size[0], 8, draw), places(500, size[1], 8, draw)
        assert set(top) == set(range(8 - size[0] + 1)), "the last place is drawn as well"
        mask = inside(top, left, size, 8, 8)
        assert (mask.sum(axis=(1, 2, 3)) == size[0] * size[1]).all()
        taken = np.zeros((500, 2, 8, 8), dtype=bool)
        taken[window(500, 2, top, left, size)] = True
        assert (taken == mask).all()


def test_peaks_are_of_unit_length_and_opposite():
    for size in ((1, 1), (1, 5), (3, 3), (4, 4), (7, 7), (5, 3)):
        pattern = twin_peaks(*size)
        assert pattern.shape == size
        assert np.sqrt((pattern**2).sum()) == pytest.approx(1.0)
    pattern = twin_peaks(6, 6)
    assert (pattern[:3] > 0).all()
    assert (pattern[3:] < 0).all()
    # 1/1² + 1/2² + … at the peak, without the first terms away from it: 1 + 1/4 + 1/9 + 1/16 to 1/16 at distance 3.
    ratio = pattern[1, 3] / pattern[1, 0]
    assert ratio == pytest.approx((1 + 1 / 4 + 1 / 9 + 1 / 16) / (1 / 16))


def test_planes_and_margins():
    assert planes(np.zeros((5, 3, 4, 2), dtype=np.float32)).shape == (5, 3, 4, 2)
    assert planes(np.zeros((5, 7), dtype=np.float32)).shape == (5, 1, 1, 7)
    assert planes(np.zeros((5, 3, 4), dtype=np.float32)).shape == (5, 1, 3, 4)
    assert margin(np.array([[1.0, 3.0, 2.5], [4.0, 1.0, 0.0]]), np.array([1, 2])) == pytest.approx([-0.5, 4.0])


def test_a_tie_that_the_model_decides_rightly_is_no_example():
    model, x, y, _ = linear(size=6, n=6)
    for weights in model.weights:
        weights[:] = 0
    model.biases[0][:] = 0
    found = attacked("square", model, x, np.zeros_like(y), eps=5.0, queries=30)
    assert (found == x).all()


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.1), ("l2", 0.8)])
def test_no_weaker_than_pyautoattack_for_no_more_questions(norm, eps):
    torch = pytest.importorskip("torch")
    from pyautoattack.square import SquareAttack

    model, x, y = right_digits(150)

    def answer(points):
        return torch.from_numpy(np.log(model.predict(points.numpy()) + 1e-300)).float()

    reference = SquareAttack(
        answer, norm={"linf": "Linf", "l2": "L2"}[norm], n_queries=300, eps=eps, p_init=0.8, seed=0, device="cpu"
    )
    with torch.random.fork_rng(devices=[]):
        other = reference.perturb(torch.from_numpy(x), torch.from_numpy(y)).numpy()
    asked = model.queries
    model.queries = 0
    ours = attacked("square", model, x, y, norm=norm, eps=eps, value_range=(0, 1), queries=300)
    assert model.queries <= asked
    left = [1 - wrong(model, found, y).mean() for found in (ours, other)]
    assert 0.2 < left[1] < 0.9
    # Theirs puts one square at the same place of all items, and never at the last one.
    assert left[0] <= left[1] + 0.02
    assert (distance(ours, x, norm) <= eps + 1e-6).all()


def test_at_most_two_fifths_of_arts_questions_at_no_higher_robust_accuracy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import art.attacks.evasion  # noqa: F401 - its first import warns

    left, asked = {}, {}
    for engine in ("native", "art"):
        model, x, y = right_digits(100)
        found = attacked("square", model, x, y, eps=0.1, value_range=(0, 1), queries=200, engine=engine)
        asked[engine] = model.queries
        left[engine] = float((~wrong(model, found, y)).mean())
    assert 0.2 < left["art"] < 0.9
    assert left["native"] <= left["art"] + 0.02
    assert asked["native"] <= asked["art"] / 2.5
