import numpy as np
import pytest

from runners.attacks.adaptive import _looks
from runners.attacks.fgsm import fgsm
from runners.attacks.geometry import distance
from runners.attacks.gradient import slope
from tests.factories.attack_models import attacked, linear, right_digits, rng, torch_digits, wrong
from tests.factories.runner_models import NetModel


@pytest.mark.parametrize("loss", ["cross_entropy", "margin", "dlr"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_apgd_finds_the_closed_form_minimum_of_a_linear_model(norm, loss):
    model, x, y, exact = linear()
    found = attacked("apgd", model, x, y, norm=norm, eps=10.0, loss=loss)
    assert wrong(model, found, y).all()
    assert distance(found, x, norm) == pytest.approx(exact[norm], rel=1e-4)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_apgd_succeeds_exactly_within_the_closed_form(norm):
    model, x, y, exact = linear()
    eps = float(np.median(exact[norm]))
    found = attacked("apgd", model, x, y, norm=norm, eps=eps)
    clear = np.abs(exact[norm] / eps - 1) > 1e-3
    assert (wrong(model, found, y) == (exact[norm] < eps))[clear].all()


def test_checkpoints_are_those_of_the_paper():
    # Croce and Hein 2020, section 3.2: p = 0, 0.22, 0.41, 0.57, 0.70, 0.80, 0.87, 0.93, 0.99 of 100 steps.
    assert sorted(_looks(100)) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert max(_looks(1000)) <= 1000
    assert _looks(1) == {1}


def test_the_dlr_is_the_margin_over_first_minus_third_logit_and_so_is_its_gradient():
    model, x, y = right_digits(30, (64,))
    at = slope(model, x, y, "dlr")
    z = model._logits(x)[0]
    ordered = np.sort(z, axis=1)
    # All are right: the true logit is the first.
    assert at.loss == pytest.approx((ordered[:, -2] - ordered[:, -1]) / (ordered[:, -1] - ordered[:, -3]))

    def value(points):
        answers = model._logits(points)[0]
        first, second, third = (np.argsort(z, axis=1)[:, -k] for k in (1, 2, 3))
        rows = np.arange(len(y))
        return (answers[rows, second] - answers[rows, first]) / (answers[rows, first] - answers[rows, third])

    direction = rng().normal(size=x.shape)
    change = (value(x + 1e-6 * direction) - value(x - 1e-6 * direction)) / 2e-6
    assert (at.gradient * direction).sum(axis=1) == pytest.approx(change, rel=1e-3, abs=1e-5)


def test_apgd_is_never_weaker_than_fgsm_and_more_steps_and_starts_help():
    model, x, y = right_digits(150)
    options = {"norm": "linf", "eps": 0.12, "value_range": (0, 1)}
    one = int(wrong(model, fgsm(model, x, y, **options, rng=rng()), y).sum())
    few, many, more = (
        int(wrong(model, attacked("apgd", model, x, y, **options, loss="margin", **parameters), y).sum())
        for parameters in ({"steps": 2, "restarts": 0}, {"steps": 50, "restarts": 0}, {"steps": 50, "restarts": 3})
    )
    assert one <= few <= many <= more
    assert one < more


def test_fooled_items_leave_early():
    model, x, y, _ = linear()
    attacked("apgd", model, x, y, eps=10.0, steps=100)
    # A gradient at the item, one after the first step, and the search of the boundary; not a hundred steps.
    assert model.queries < 30 * len(y)


def test_steps_are_halved_only_where_the_loss_no_longer_rises():
    # Wrong only in a slit narrower than the first step: steps of 2 eps jump over it for ever.
    first = np.array([[40.0, -40.0]])
    model = NetModel([first, np.array([[1.0, 0.0], [1.0, 0.0]])], [np.array([-4.0, 4.0]), np.array([0.0, 0.1])])
    x, y = np.full((3, 1), 0.03, dtype=np.float32), np.zeros(3, dtype=np.int64)
    assert not wrong(model, x, y).any()
    options = {"norm": "linf", "eps": 0.3, "value_range": (0, 1), "loss": "margin"}
    found = attacked("apgd", model, x, y, **options, steps=100, restarts=0)
    assert wrong(model, found, y).all()
    assert found == pytest.approx(np.full((3, 1), 0.1), abs=0.003)
    assert not wrong(model, attacked("pgd", model, x, y, **options, steps=2, restarts=0), y).any()


@pytest.mark.parametrize(("loss", "theirs"), [("cross_entropy", "ce"), ("dlr", "dlr")])
@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.1), ("l2", 0.6)])
def test_robust_accuracy_is_that_of_pyautoattack(norm, eps, loss, theirs):
    torch = pytest.importorskip("torch")
    from pyautoattack.autopgd_base import APGDAttack

    model, x, y = right_digits(200)
    reference = APGDAttack(
        torch_digits(model), n_iter=100, norm={"linf": "Linf", "l2": "L2"}[norm], n_restarts=2, eps=eps, seed=0,
        loss=theirs, device="cpu",
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        other = reference.perturb(torch.from_numpy(x), torch.from_numpy(y)).detach().numpy()
    ours = attacked("apgd", model, x, y, norm=norm, eps=eps, value_range=(0, 1), loss=loss, restarts=1)
    left = [1 - wrong(model, found, y).mean() for found in (ours, other)]
    assert 0.2 < left[1] < 0.8, "the comparison says nothing where everything or nothing breaks"
    assert left[0] <= left[1] + 0.02
    assert left[1] - left[0] <= 0.04
