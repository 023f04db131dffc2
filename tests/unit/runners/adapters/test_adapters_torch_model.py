import numpy as np
import pytest

from runners.models.base import Gradient
from tests.factories.attack_models import linear, right_digits, rng, torch_digits
from tests.factories.runner_models import NetModel

torch = pytest.importorskip("torch")


def asked(model, shape=(1, 8, 8), value_range=(0.0, 1.0)):
    from runners.adapters.torch_model import AskedModule

    return AskedModule(model, shape, value_range)


LOSSES = {
    "cross entropy": lambda z, y: torch.nn.functional.cross_entropy(z, y),
    "margin": lambda z, y: (z[:, 3] - z.gather(1, y[:, None])[:, 0]).sum(),
    "ratio": lambda z, y: ((z.gather(1, y[:, None])[:, 0] - z[:, 2]) / (z.max(1)[0] - z.sort(1)[0][:, -3])).sum(),
    "three": lambda z, y: (2 * z[:, 0] - z[:, 1] - z[:, 2]).sum(),
}


def gradient_of(module, x, y, loss):
    variable = torch.from_numpy(x).requires_grad_()
    return torch.autograd.grad(LOSSES[loss](module(variable), torch.from_numpy(y)), variable)[0].numpy()


@pytest.mark.parametrize("hint", [None, "cross_entropy", "margin"])
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_of_losses_it_never_heard_of_are_exact(loss, hint):
    model, x, y = right_digits(20)
    exact = gradient_of(torch_digits(model), x, y, loss)
    module = asked(model)
    if hint is None:
        found = gradient_of(module, x, y, loss)
    else:
        with module.expecting(y, hint):
            found = gradient_of(module, x, y, loss)
    assert np.abs(found - exact).max() <= 2e-4 * np.abs(exact).max()


class Pulling:
    """A model that differentiates any loss in one question, and counts these."""

    pulls = True

    def __init__(self, model):
        self.inner, self.access, self.pulled = model, model.access, 0
        self.net = torch_digits(model)
        self.predict, self.gradient = model.predict, model.gradient

    def pull(self, x, weights):
        self.pulled += 1
        variable = torch.from_numpy(x).requires_grad_()
        z = self.net(variable)
        losses = (z.double() * torch.from_numpy(weights)).sum(dim=1)
        (gradient,) = torch.autograd.grad(losses.sum(), variable)
        return Gradient(losses.detach().numpy(), gradient.numpy(), z.detach().double().numpy())


@pytest.mark.parametrize("hint", [None, "cross_entropy"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_model_that_pulls_is_asked_once_for_any_loss(loss, hint):
    model, x, y = right_digits(20)
    exact = gradient_of(torch_digits(model), x, y, loss)
    pulling = Pulling(model)
    before = model.queries
    if hint is None:
        found = gradient_of(asked(pulling), x, y, loss)
    else:
        module = asked(pulling)
        with module.expecting(y, hint):
            found = gradient_of(module, x, y, loss)
    assert np.abs(found - exact).max() <= 2e-4 * np.abs(exact).max()
    assert pulling.pulled == (0 if loss == "cross entropy" and hint else 1)
    assert model.queries - before == 20


def test_a_pull_is_in_the_units_of_the_scaled_items():
    model, x, y = right_digits(5)

    class Wide(Pulling):
        """The same model on items from 0 to 255."""

        def __init__(self, inner):
            super().__init__(inner)
            self.predict = lambda x: inner.predict(x / np.float32(255))

        def pull(self, x, weights):
            answer = super().pull(x / np.float32(255), weights)
            return Gradient(answer.loss, answer.gradient / np.float32(255), answer.logits)

    found = gradient_of(asked(Wide(model), value_range=(0.0, 255.0)), x, y, "ratio")
    assert found == pytest.approx(gradient_of(torch_digits(model), x, y, "ratio"), rel=1e-3, abs=1e-5)


def test_differences_of_single_logits_are_exact():
    """Libraries ask for the gradient of one logit at a time and subtract."""
    model, x, _ = right_digits(10)

    def of(module, k):
        variable = torch.from_numpy(x).requires_grad_()
        return torch.autograd.grad(module(variable)[:, k].sum(), variable)[0].numpy()

    exact = of(torch_digits(model), 4) - of(torch_digits(model), 7)
    found = of(asked(model), 4) - of(asked(model), 7)
    assert found == pytest.approx(exact, abs=1e-5 * float(np.abs(exact).max()))


def test_an_expected_loss_costs_one_question_for_both_passes():
    model, x, y = right_digits(20)
    module = asked(model)
    with module.expecting(y, "cross_entropy"):
        gradient_of(module, x, y, "cross entropy")
    assert (model.queries, model.calls) == (20, 1)
    assert (module.items, module.forwards) == (20, 1)


def test_without_a_gradient_it_asks_for_probabilities_only():
    model, x, y = right_digits(20)
    model.access = frozenset({"queries"})
    z = asked(model)(torch.from_numpy(x))
    assert (z.argmax(1).numpy() == y).all()
    assert z.dtype == torch.float32


def test_items_are_scaled_to_the_models_own_range_and_back():
    model, x, _, _ = linear(size=6, n=5)
    wide = asked(model, (6,), (-2.0, 2.0))
    found = wide(torch.from_numpy((x + 2) / 4)).numpy()
    z = model._logits(x)[0]
    assert found[:, 1] - found[:, 0] == pytest.approx(z[:, 1] - z[:, 0], rel=1e-4, abs=1e-5)
    variable = torch.from_numpy((x + 2) / 4).requires_grad_()
    slope = torch.autograd.grad((wide(variable)[:, 1] - wide(variable)[:, 0]).sum(), variable)[0].numpy()
    w = model.weights[0][:, 1]
    assert slope == pytest.approx(np.tile(4 * w, (5, 1)), rel=1e-4)


def test_a_class_without_any_chance_has_a_finite_logit():
    sure = NetModel([np.zeros((4, 2))], [np.array([0.0, -5000.0])])
    x = rng().random((3, 4)).astype(np.float32)
    z = asked(sure, (4,))(torch.from_numpy(x))
    assert torch.isfinite(z).all()
    assert (z[:, 0] - z[:, 1] > 500).all()
