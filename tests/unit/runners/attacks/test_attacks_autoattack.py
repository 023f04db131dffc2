import sys
import types
import warnings

import numpy as np
import pytest

from runners.adapters.autoattack import Settings, evaluate
from runners.attacks.geometry import distance
from runners.models.base import Gradient
from tests.factories.attack_models import attacked, linear, right_digits, torch_digits, wrong
from tests.factories.runner_models import NetModel

torch = pytest.importorskip("torch")

from runners.adapters.torch_model import AskedModule  # noqa: E402 - it imports torch itself

PARTS = ["apgd-ce", "apgd-t", "fab-t", "square"]
EPS = {"linf": 0.1, "l2": 0.6}


def reference(model, x, y, norm, *, steps, queries):
    """pyautoattack's standard version itself on a torch module: examples, and the module that counted."""
    from pyautoattack import AutoAttack
    from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted

    net = torch_digits(model)
    with torch.random.fork_rng(devices=[]):
        attack = AutoAttack(net, eps=EPS[norm], norm={"linf": "Linf", "l2": "L2"}[norm], seed=0, device="cpu")
        common = {"eps": EPS[norm], "norm": attack.norm, "n_iter": steps, "device": "cpu", "logger": attack.logger}
        attack.apgd, attack.apgd_targeted = APGDAttack(net, **common), APGDAttack_targeted(net, **common)
        attack.fab.n_iter, attack.square.n_queries = steps, queries
        found, _ = attack.run_standard_evaluation(torch.from_numpy(x), torch.from_numpy(y))
    return found.numpy(), net


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_it_is_the_reference_call_for_call(norm):
    model, x, y = right_digits(6)
    budget = {"steps": 30, "queries": 100}
    theirs, net = reference(model, x, y, norm, **budget)
    settings = Settings(norm, EPS[norm], (0.0, 1.0), seed=0, **budget)
    model.queries = model.calls = 0
    ours, module = evaluate(model, x, y, PARTS, settings, 10)
    assert module.forwards == net.calls
    assert module.items == net.items
    broken = wrong(model, theirs, y)
    assert 0 < broken.sum() < 6, "the comparison says nothing where everything or nothing breaks"
    assert (wrong(model, ours, y) == broken).all()
    # Gradients of the ratio of logits take up to three more of our own losses, in one more round trip.
    assert model.queries <= 2 * net.items
    assert model.calls <= 1.5 * net.calls + 50


def test_an_item_that_holds_out_costs_the_published_number_of_calls():
    """7864 calls of the standard version, as measured with the authors' code: one item that holds out is enough.

    Calls are so many for each step and each question of Square, and a few besides: three small runs tell them all.
    """
    model, x, y = right_digits(1)

    def calls(steps, queries):
        settings = Settings("linf", 1e-4, (0.0, 1.0), seed=0, steps=steps, queries=queries)
        found, module = evaluate(model, x, y, PARTS, settings, 10)
        assert not wrong(model, found, y).any()
        return module.forwards

    few, longer, wider = calls(2, 5), calls(4, 5), calls(2, 10)
    assert few + (longer - few) * (100 - 2) / 2 + (wider - few) * (5000 - 5) / 5 == 7864


def test_a_targeted_part_learns_which_logit_its_loss_is_about(monkeypatch):
    """Four logits make a targeted ratio: three differences, of which one comes with the first question."""
    asked = {}
    for learns in (True, False):
        if not learns:
            monkeypatch.setattr(AskedModule, "learn", lambda *_: None)
        model, x, y = right_digits(4)
        before = model.queries
        _, module = evaluate(model, x, y, ["apgd-t"], Settings("linf", 1e-4, (0.0, 1.0), seed=0, steps=15), 10)
        asked[learns] = (model.queries - before) / module.items
    assert asked[True] <= 2.8
    assert asked[False] >= asked[True] + 0.4


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_equal_answers_that_the_model_decides_rightly_are_no_examples(norm):
    """Where every class is as likely as any other there is nothing to climb, and no part may fail on it."""
    model, x, y = right_digits(4)
    flat = NetModel([w * 0 for w in model.weights], [b * 0 for b in model.biases])
    found = attacked(
        "autoattack", flat, x, np.zeros_like(y), norm=norm, eps=0.1, value_range=(0, 1), steps=3, queries=10
    )
    assert (found == x).all()


def test_a_fifth_of_arts_examples_at_most_for_no_higher_robust_accuracy(monkeypatch):
    """At a twentieth of both defaults: ART starts each part five times, and asks three times a round of Square."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from art.attacks.evasion import AutoAttack, AutoProjectedGradientDescent, DeepFool, SquareAttack
        from art.estimators.classification import PyTorchClassifier

    monkeypatch.setitem(sys.modules, "multiprocess", types.ModuleType("multiprocess"))  # imported, and not used
    model, x, y = right_digits(4)
    net = torch_digits(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        art = PyTorchClassifier(net, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0, 1), device_type="cpu")
        climbing = {"eps": 0.1, "eps_step": 0.1, "max_iter": 5, "nb_random_init": 5, "verbose": False}
        parts = [
            AutoProjectedGradientDescent(art, loss_type="cross_entropy", **climbing),
            AutoProjectedGradientDescent(art, loss_type="difference_logits_ratio", **climbing),
            DeepFool(art, max_iter=100, epsilon=1e-3, nb_grads=10, batch_size=32, verbose=False),
            SquareAttack(art, max_iter=250, eps=0.1, p_init=0.8, nb_restarts=5, verbose=False),
        ]
        np.random.seed(0)
        theirs = AutoAttack(art, eps=0.1, eps_step=0.1, attacks=parts).generate(x=x, y=y).astype(np.float32)
    ours = attacked("autoattack", model, x, y, eps=0.1, value_range=(0, 1), steps=5, queries=250)
    asked = model.queries
    held = [int((~wrong(model, found, y)).sum()) for found in (ours, theirs)]
    assert 0 < held[0] <= held[1]
    assert net.items >= 5 * asked


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_two_classes_have_no_logit_ratio_and_are_attacked_all_the_same(norm):
    model, x, y, exact = linear(n=16)
    eps = float(np.median(exact[norm]))
    found = attacked("autoattack", model, x, y, norm=norm, eps=eps, value_range=(-2.0, 2.0), steps=20, queries=10)
    clear = np.abs(exact[norm] / eps - 1) > 1e-3
    assert (wrong(model, found, y) == (exact[norm] < eps))[clear].all()
    assert (distance(found, x, norm) <= eps + 1e-6).all()


@pytest.mark.parametrize("classes", [3, 4, 10])
def test_few_classes_and_items_that_are_no_images(classes):
    model, x, y = right_digits(60, (64,))
    few = y < classes
    model = NetModel([model.weights[0], model.weights[1][:, :classes]], [model.biases[0], model.biases[1][:classes]])
    x, y = x[few], y[few]
    plain = attacked("pgd", model, x, y, eps=0.1, value_range=(0, 1), bisections=0)
    found = attacked("autoattack", model, x, y, eps=0.1, value_range=(0, 1), steps=20, queries=50)
    assert found.shape == x.shape
    assert wrong(model, found, y).sum() >= wrong(model, plain, y).sum()


class Dithered:
    """Adds noise to every question: a randomised defence."""

    def __init__(self, model):
        self.inner, self.access = model, model.access
        self.draw = np.random.default_rng(0)

    queries = property(lambda self: self.inner.queries)
    calls = property(lambda self: self.inner.calls)

    def noisy(self, x):
        return (x + self.draw.normal(0, 0.1, size=x.shape)).astype(np.float32)

    def predict(self, x):
        return self.inner.predict(self.noisy(x))

    def gradient(self, x, y, *, loss="cross_entropy") -> Gradient:
        return self.inner.gradient(self.noisy(x), y, loss=loss)


def test_the_version_for_randomised_models_averages_gradients():
    model, x, y = right_digits(30)
    noisy = Dithered(model)
    found = attacked("autoattack", noisy, x, y, eps=0.15, value_range=(0, 1), version="rand", steps=10)
    # Two losses, eleven points each, twenty samples a point, for each item that holds out against the first.
    assert model.calls >= 2 * 11 * 20
    assert wrong(model, found, y).mean() > 0.5


def test_the_generator_of_the_process_is_left_alone():
    model, x, y = right_digits(3)
    state = torch.random.get_rng_state()
    attacked("autoattack", model, x, y, eps=0.05, value_range=(0, 1), steps=2, queries=5)
    assert (torch.random.get_rng_state() == state).all()
