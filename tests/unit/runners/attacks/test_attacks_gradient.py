import numpy as np
import pytest

from runners.attacks.fgsm import fgsm
from runners.attacks.geometry import distance, into_ball, random_start
from runners.attacks.minimum import minimal
from runners.attacks.pgd import pgd
from tests.factories.runner_models import NetModel, digits, linear_model

WIDE = (-100.0, 100.0)


def rng():
    return np.random.default_rng(7)


def linear(size=30, n=40, b=0.3):
    draw = rng()
    w = draw.normal(size=size)
    x = draw.uniform(-1, 1, size=(n, size)).astype(np.float32)
    model = linear_model(w, b)
    y = model.predict(x).argmax(axis=1)
    reach = np.abs(x.astype(np.float64) @ w + b)
    return model, x, y, {"linf": reach / np.abs(w).sum(), "l2": reach / np.linalg.norm(w)}


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_finds_the_closed_form_minimum_of_a_linear_model(norm):
    model, x, y, exact = linear()
    found = pgd(model, x, y, norm=norm, eps=10.0, value_range=WIDE, rng=rng())
    reach = distance(found, x, norm)
    assert (model.predict(found).argmax(axis=1) != y).all()
    assert (reach >= exact[norm] * (1 - 1e-6)).all()
    assert np.abs(reach / exact[norm] - 1).max() <= 1e-4


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_one_step_attacks_succeed_exactly_within_the_closed_form(attack, norm):
    model, x, y, exact = linear()
    eps = float(np.median(exact[norm]))
    found = attack(model, x, y, norm=norm, eps=eps, value_range=WIDE, rng=rng())
    wrong = model.predict(found).argmax(axis=1) != y
    near = np.abs(exact[norm] / eps - 1) < 1e-3
    assert (wrong == (exact[norm] < eps))[~near].all()
    assert (distance(found, x, norm) <= eps + 1e-6).all()
    assert (found[~wrong] == x[~wrong]).all()


def planted() -> tuple[NetModel, np.ndarray, np.ndarray]:
    """A network that is flat but for one direction, and there a small step flips it."""
    first = np.zeros((16, 2))
    first[5, 0], first[5, 1] = 4.0, -4.0
    model = NetModel([first, np.array([[0.0, 1.0], [0.0, -1.0]])], [np.zeros(2), np.array([0.0, -0.1])])
    x = np.full((8, 16), 0.5, dtype=np.float32)
    x[:, 5] = 0.01
    return model, x, np.zeros(8, dtype=np.int64)


def test_attacks_find_a_planted_direction():
    model, x, y = planted()
    assert (model.predict(x).argmax(axis=1) == y).all()
    for norm in ("linf", "l2"):
        found = pgd(model, x, y, norm=norm, eps=0.2, value_range=(0.0, 1.0), rng=rng())
        # The boundary: 4 x5 = 0.1, so x5 has to rise from 0.01 to 0.025.
        assert distance(found, x, norm) == pytest.approx(np.full(8, 0.015), rel=1e-3)


def test_a_saturated_model_is_attacked_by_its_margin():
    # exp underflows: the cross-entropy is exactly flat in float32, and the sign of zero goes nowhere.
    w = np.ones(10) * 1e4
    model = linear_model(w, -5e4)
    x = np.full((4, 10), 0.9, dtype=np.float32)
    y = np.ones(4, dtype=np.int64)
    assert not model.gradient(x, y).gradient.any()
    found = pgd(model, x, y, norm="linf", eps=0.5, value_range=(0.0, 1.0), rng=rng())
    assert distance(found, x, "linf") == pytest.approx(np.full(4, 0.4), rel=1e-3)


def test_pgd_is_never_weaker_than_fgsm_and_more_steps_help():
    model, x, y = digits()
    x, y = x[:200], y[:200]

    def fooled(attack, **parameters):
        found = attack(model, x, y, norm="linf", eps=0.15, value_range=(0, 1), rng=rng(), **parameters)
        return int((model.predict(found).argmax(axis=1) != y).sum())

    one, few, many = fooled(fgsm), fooled(pgd, steps=3, bisections=0), fooled(pgd, steps=30, bisections=0)
    assert one <= few <= many


def test_pgd_with_a_large_budget_breaks_everything():
    model, x, y = digits()
    found = pgd(model, x[:100], y[:100], norm="linf", eps=1.0, value_range=(0, 1), rng=rng(), bisections=0)
    assert (model.predict(found).argmax(axis=1) != y[:100]).all()


def test_bisection_brings_examples_nearer():
    model, x, y = digits()
    right = model.predict(x).argmax(axis=1) == y
    x, y = x[right][:100], y[right][:100]
    options = {"norm": "linf", "eps": 0.4, "value_range": (0, 1)}
    far = distance(pgd(model, x, y, **options, rng=rng(), bisections=0), x, "linf")
    near = distance(pgd(model, x, y, **options, rng=rng(), bisections=6), x, "linf")
    hit = (far > 0) & (near > 0)
    assert hit.mean() > 0.9
    assert (near[hit] <= far[hit] * (1 + 1e-6)).all()
    assert np.median(near[hit]) < 0.95 * np.median(far[hit])


def test_bisection_finds_the_near_example_that_a_large_budget_misses():
    # Wrong where the first coordinate is 1 or more, or the second 0.3 or more.
    first = np.eye(2)
    model = NetModel([first, np.array([[0.0, 1000.0], [0.0, 1000.0]])], [np.array([-1.0, -0.3]), np.array([1e-6, 0.0])])
    x, y = np.zeros((3, 2), dtype=np.float32), np.zeros(3, dtype=np.int64)

    def attack(index, radius):
        point = np.zeros((index.size, 2), dtype=np.float32)
        large = radius >= 1
        point[large, 0], point[~large, 1] = radius[large], radius[~large]
        return point, model.predict(point).argmax(axis=1) != 0

    options = {"eps": 1.5, "norm": "l2", "value_range": (-2.0, 2.0)}
    far, _ = minimal(model, attack, x, y, **options, bisections=0)
    near, found = minimal(model, attack, x, y, **options, bisections=3)
    assert found.all()
    assert distance(far, x, "l2") == pytest.approx(np.ones(3), rel=1e-4)
    assert distance(near, x, "l2") == pytest.approx(np.full(3, 0.3), rel=1e-4)


def test_without_restarts_nothing_is_random():
    model, x, y = digits()
    options = {"norm": "linf", "eps": 0.1, "value_range": (0, 1), "restarts": 0, "bisections": 2}
    first, second = (pgd(model, x[:50], y[:50], **options, rng=np.random.default_rng(seed)) for seed in (1, 2))
    assert (first == second).all()


def test_fooled_items_leave_early():
    model, x, y, _ = linear()
    pgd(model, x, y, norm="linf", eps=10.0, value_range=WIDE, rng=rng(), bisections=0, steps=50)
    # One gradient, one large step that fools all, and the search along the segment; not fifty steps.
    assert model.queries < 30 * len(y)


def test_twenty_steps_cost_twenty_gradients_and_two_answers():
    model, x, y, exact = linear()
    eps = 0.5 * float(exact["linf"].min())  # nobody is fooled, so that nobody leaves
    pgd(model, x, y, norm="linf", eps=eps, value_range=WIDE, rng=rng(), steps=20, restarts=0, bisections=0)
    assert model.seen[-22:] == [len(y)] * 22
    assert model.calls == 1 + 22  # the labels of `linear` are an answer, too


def test_pgd_agrees_with_art():
    torch = pytest.importorskip("torch")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from art.attacks.evasion import ProjectedGradientDescentPyTorch
        from art.estimators.classification import PyTorchClassifier

    model, x, y = digits()
    x, y = x[:300], y[:300]
    layers = []
    for w, b in zip(model.weights, model.biases, strict=True):
        layer = torch.nn.Linear(*w.shape)
        layer.weight.data, layer.bias.data = torch.tensor(w.T.astype("f4")), torch.tensor(b.astype("f4"))
        layers += [layer, torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = PyTorchClassifier(net, torch.nn.CrossEntropyLoss(), (64,), 10, clip_values=(0.0, 1.0))
        attack = ProjectedGradientDescentPyTorch(
            wrapped,
            norm=np.inf,
            eps=0.1,
            eps_step=0.0125,
            max_iter=20,
            num_random_init=1,
            batch_size=300,
            verbose=False,
        )
        theirs = attack.generate(x=x, y=y)
    ours = pgd(model, x, y, norm="linf", eps=0.1, value_range=(0, 1), rng=rng(), steps=20, bisections=0)
    left = [float((model.predict(found.astype(np.float32)).argmax(axis=1) == y).mean()) for found in (ours, theirs)]
    assert 0.02 < left[0] < 0.95, "the comparison says nothing where everything or nothing breaks"
    # Two standard errors of a share of 300; ours also tries a plain start and one full step.
    assert left[0] <= left[1] + 1e-9
    assert left[1] - left[0] < 0.06


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_projection_holds_in_float32(norm):
    draw = rng()
    x = draw.random((50, 200)).astype(np.float32)
    radius = draw.uniform(1e-4, 2.0, 50)
    for point in (
        into_ball(x + draw.normal(size=x.shape) * 3, x, radius, norm, (0.0, 1.0)),
        random_start(x, radius, norm, (0.0, 1.0), draw),
    ):
        assert point.dtype == np.float32
        assert point.min() >= 0
        assert point.max() <= 1
        assert (distance(point, x, norm) <= radius + 1e-6).all()
