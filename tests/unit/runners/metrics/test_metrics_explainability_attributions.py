import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation, InputXGradient, IntegratedGradients, Saliency

from runners.attacks.geometry import logits, margin
from runners.metrics.explainability.attributions import Explainer, ask_steps, hidden_windows, per_unit
from runners.models.base import Gradient
from tests.factories.runner_models import BOTH, NetModel, linear_model


def explainer(method, *, loss="margin", steps=50, windows=64, image=False):
    return Explainer(method, loss, steps, windows, image)


def linear(d=6, n=5, seed=0):
    rng = np.random.default_rng(seed)
    w, x = rng.normal(size=d), rng.normal(size=(n, d)).astype(np.float32)
    base = np.full_like(x, 0.25)
    return w, linear_model(w, 0.3), x, base, np.ones(n, dtype=np.int64)


def test_linear_model_in_closed_form():
    """The margin of class 1 is w·x + b: its gradient is w, and every method gives w · (x - baseline)."""
    w, model, x, base, target = linear()
    way = x - base.astype(float)
    assert explainer("saliency").explain(model, x, base, target) == pytest.approx(np.tile(np.abs(w), (5, 1)), abs=1e-6)
    for method in ("gradient_x_input", "integrated_gradients", "occlusion"):
        found = explainer(method).explain(model, x, base, target)
        assert found == pytest.approx(w * way, abs=1e-5), method
        # What speaks for one class speaks against the other.
        other = explainer(method).explain(model, x, base, 1 - target)
        assert other == pytest.approx(-w * way, abs=1e-5), method


@pytest.mark.parametrize("loss", ["margin", "cross_entropy"])
def test_integrated_gradients_are_complete(loss):
    """They sum to the difference of what is explained between the item and the baseline."""
    model, x, base, target = network()
    ends = [model.gradient(part, target, loss=loss).loss for part in (x, base)]
    for steps, tolerance in ((20, 0.4), (2000, 0.01)):
        found = explainer("integrated_gradients", loss=loss, steps=steps).explain(model, x, base, target)
        assert found.sum(axis=1) == pytest.approx(ends[1] - ends[0], abs=tolerance)


def network(n=12, seed=0):
    rng = np.random.default_rng(seed)
    model = NetModel(
        [rng.normal(size=(8, 16)), rng.normal(size=(16, 3)) * 0.5], [rng.normal(size=16) * 0.1, rng.normal(size=3)]
    )
    x = rng.normal(size=(n, 8)).astype(np.float32)
    return model, x, np.full_like(x, 0.1), rng.integers(0, 3, n)


class TorchModel:
    """A small convolutional network; `explained` is what the attributions are of, for captum."""

    access = BOTH
    queries = calls = 0

    def __init__(self):
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3), torch.nn.Softplus(), torch.nn.Flatten(), torch.nn.Linear(4 * 16, 4)
        ).double()

    def predict(self, x):
        with torch.no_grad():
            return torch.softmax(self.net(torch.tensor(x, dtype=torch.float64)), 1).numpy()

    def explained(self, x, y, loss):
        z = self.net(x)
        if loss == "cross_entropy":
            return torch.log_softmax(z, 1).gather(1, y[:, None])[:, 0]
        own = z.gather(1, y[:, None])[:, 0]
        return own - z.scatter(1, y[:, None], -torch.inf).amax(1)

    def gradient(self, x, y, *, loss="cross_entropy"):
        inputs = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        value = -self.explained(inputs, torch.tensor(y), loss)
        value.sum().backward()
        return Gradient(value.detach().numpy(), inputs.grad.numpy().astype(np.float32), np.zeros((len(x), 4)))


@pytest.mark.parametrize("loss", ["margin", "cross_entropy"])
def test_values_are_captums(loss):
    model, rng = TorchModel(), np.random.default_rng(0)
    x, y = rng.random((5, 3, 6, 6)).astype(np.float32), rng.integers(0, 4, 5)
    base = np.full_like(x, 0.3)
    inputs, bases, target = torch.tensor(x).double(), torch.tensor(base).double(), torch.tensor(y)

    def forward(points):
        return model.explained(points, target.repeat(len(points) // 5), loss)

    def ours(method, **more):
        return explainer(method, loss=loss, image=True, **more).explain(model, x, base, y)

    slope = inputs.clone().requires_grad_()
    assert ours("saliency") == pytest.approx(Saliency(forward).attribute(slope).numpy(), abs=1e-6)
    path = IntegratedGradients(forward).attribute(slope, bases, n_steps=40, method="riemann_middle")
    assert ours("integrated_gradients", steps=40) == pytest.approx(path.detach().numpy(), abs=1e-5)
    # Captum multiplies by the input itself: ours is the same where the baseline is zero.
    at_zero = explainer("gradient_x_input", loss=loss).explain(model, x, np.zeros_like(x), y)
    assert at_zero == pytest.approx(InputXGradient(forward).attribute(slope).detach().numpy(), abs=1e-6)
    windows = hidden_windows((3, 6, 6), 9, image=True)
    mask = torch.tensor(windows.argmax(axis=0))[None]
    blocks = FeatureAblation(forward).attribute(inputs, bases, feature_mask=mask).detach().numpy()
    assert ours("occlusion", windows=9) * windows[0].sum() == pytest.approx(blocks, abs=1e-6)


def test_windows_cover_an_item_once():
    for shape, most, image in (((3, 7, 9), 12, True), ((1, 8, 8), 64, True), ((11,), 4, False), ((2, 5), 100, False)):
        windows = hidden_windows(shape, most, image=image)
        assert (windows.sum(axis=0) == 1).all()
        assert windows.shape[0] <= most
        assert windows.reshape(windows.shape[0], -1).any(axis=1).all()
    pixels = hidden_windows((3, 4, 4), 4, image=True)
    assert pixels.shape[0] == 4
    assert pixels[0, :, :2, :2].all()
    assert pixels[0].sum() == 12


def test_occlusion_asks_each_window_once_in_few_round_trips():
    _, model, x, base, target = linear(d=10, n=200)
    explainer("occlusion", windows=5).explain(model, x, base, target)
    assert model.queries == 200 * (5 + 1)
    assert model.calls == 2


def test_many_steps_travel_together_and_large_ones_in_parts(monkeypatch):
    model = linear_model(np.ones(4))
    inputs = [np.full((3, 4), k, dtype=np.float32) for k in range(5)]
    together = ask_steps(model, inputs.__getitem__, 5)
    assert (together.shape, model.calls) == ((5, 3, 2), 1)
    monkeypatch.setattr("runners.metrics.explainability.attributions._BYTES", 2 * inputs[0].nbytes)
    apart = ask_steps(model, inputs.__getitem__, 5)
    assert model.seen == [15, 6, 6, 3]
    assert (apart == together).all()
    w, model, x, base, target = linear()
    split = explainer("integrated_gradients", steps=7).explain(model, x, base, target)
    assert split == pytest.approx(w * (x - base), abs=1e-5)
    assert max(model.seen) <= 10


def test_value_is_the_margin_of_the_log_probabilities():
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]])
    target = np.array([0, 2])
    found = explainer("occlusion").value(p, target)
    assert found == pytest.approx([np.log(3.5), np.log(0.5)])
    assert found == pytest.approx(-margin(logits(p), target))
    assert explainer("occlusion", loss="cross_entropy").value(p, target) == pytest.approx(np.log([0.7, 0.3]))


def test_channels_of_a_pixel_are_one_unit():
    found = np.arange(24.0).reshape(2, 3, 2, 2)
    assert per_unit(found, image=True).tolist() == [[12, 15, 18, 21], [48, 51, 54, 57]]
    assert per_unit(found, image=False).shape == (2, 12)
