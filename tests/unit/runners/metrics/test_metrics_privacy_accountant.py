"""The accountant: published anchors, closed forms, and integrals done another way."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import ndtr

from runners.metrics.privacy import accountant
from runners.metrics.privacy.accountant import Mechanism, log_moment, numeric_epsilon, renyi_epsilon

ANCHOR = Mechanism(1.1, 256 / 60_000, 14_062)


def test_anchor_of_dp_sgd_on_sixty_thousand_items():
    """Opacus 1.6.0: 2.5965558689608 by Rényi, 2.3917436959452 by its PRV accountant, which gives the upper end."""
    assert renyi_epsilon(ANCHOR, 1e-5) == pytest.approx(2.5965558689608, abs=1e-9)
    found = numeric_epsilon(ANCHOR, 1e-5)
    assert found.high == pytest.approx(2.3917436959452, abs=2e-4)
    assert found.low < found.value < found.high < found.low + 0.03


@pytest.mark.parametrize(
    ("noise", "rate", "steps", "renyi", "prv"),
    [
        (0.8, 0.01, 1000, 3.695428832544017, 3.15126295292938),
        (1.0, 0.1, 50, 5.88097893218889, 5.158636353600319),
        (4.0, 0.5, 200, 9.500248359439215, 8.829859716156054),
        (2.0, 1.0, 20, 12.301691480042896, 11.490534081583927),
    ],
)
def test_values_of_opacus(noise, rate, steps, renyi, prv):
    """Delta 1e-5, computed with opacus 1.6.0."""
    mechanism = Mechanism(noise, rate, steps)
    assert renyi_epsilon(mechanism, 1e-5) == pytest.approx(renyi, abs=1e-7)
    assert numeric_epsilon(mechanism, 1e-5).high == pytest.approx(prv, abs=2e-4)


def by_quadrature(noise, rate, order):
    """ln E[(Q/P)^order] under the noise, integrated."""

    def density(z):
        ratio = np.logaddexp(math.log1p(-rate), math.log(rate) + (z - 0.5) / noise**2)
        return math.exp(order * ratio - z * z / (2 * noise**2)) / (noise * math.sqrt(2 * math.pi))

    value, _ = quad(density, -30 * noise, order + 30 * noise, points=[0, order], limit=500, epsabs=0, epsrel=1e-12)
    return math.log(value)


@settings(max_examples=25, deadline=None)
@example(1.0, 0.5, 1.9999999999999982)
@given(st.floats(0.7, 4), st.floats(0.001, 0.9), st.floats(1.05, 12))
def test_moments_are_integrals(noise, rate, order):
    assert log_moment(noise, rate, order) == pytest.approx(by_quadrature(noise, rate, order), rel=1e-6, abs=1e-10)


def test_moments_by_hand():
    # Order 2: (1-q)² + 2 q (1-q) + q² e^(1/σ²).
    assert log_moment(1.5, 0.1, 2) == pytest.approx(math.log(0.99 + 0.01 * math.exp(1 / 2.25)))
    # Without subsampling: order (order - 1) / (2 σ²), whatever the order.
    assert log_moment(2.0, 1.0, 3.5) == pytest.approx(3.5 * 2.5 / 8)
    # Whole orders and their neighbours.
    assert log_moment(1.1, 0.01, 4) == pytest.approx(log_moment(1.1, 0.01, 4 + 1e-7), rel=1e-5)


def gaussian_epsilon(mu, delta):
    """Balle and Wang 2018, theorem 8: delta = Phi(-e/mu + mu/2) - e^e Phi(-e/mu - mu/2)."""
    low, high = 0.0, 500.0
    for _ in range(100):
        middle = (low + high) / 2
        over = ndtr(-middle / mu + mu / 2) - math.exp(middle) * ndtr(-middle / mu - mu / 2) > delta
        low, high = (middle, high) if over else (low, middle)
    return high


@pytest.mark.parametrize(
    ("noise", "steps", "delta"), [(2.0, 1, 1e-5), (5.0, 100, 1e-5), (1.0, 4, 1e-3), (0.7, 1, 1e-6)]
)
def test_the_gaussian_mechanism_in_closed_form(noise, steps, delta):
    exact = gaussian_epsilon(math.sqrt(steps) / noise, delta)
    found = numeric_epsilon(Mechanism(noise, 1.0, steps), delta)
    assert found.low < exact < found.high
    assert found.value == pytest.approx(exact, abs=2e-3)
    assert renyi_epsilon(Mechanism(noise, 1.0, steps), delta) > exact


def test_a_step_of_the_mixture_by_its_densities():
    """delta(epsilon) of one step is the integral of what Q has above e^epsilon times P, and the other way round."""
    noise, rate, delta = 0.8, 0.2, 1e-3
    z = np.linspace(-20, 20, 400_001)
    p = np.exp(-z * z / (2 * noise**2)) / (noise * math.sqrt(2 * math.pi))
    q = (1 - rate) * p + rate * np.exp(-((z - 1) ** 2) / (2 * noise**2)) / (noise * math.sqrt(2 * math.pi))
    found = numeric_epsilon(Mechanism(noise, rate, 1), delta)

    def missed(eps):
        return max(np.trapezoid(np.maximum(a - math.exp(eps) * b, 0), z) for a, b in ((q, p), (p, q)))

    assert missed(found.low) > delta > missed(found.high)
    assert missed(found.value) == pytest.approx(delta, rel=0.01)


def test_more_noise_fewer_steps_and_smaller_batches_cost_less():
    base = Mechanism(1.0, 0.02, 200)
    more = [Mechanism(1.2, 0.02, 200), Mechanism(1.0, 0.01, 200), Mechanism(1.0, 0.02, 100)]
    for epsilon in (renyi_epsilon, lambda m, delta: numeric_epsilon(m, delta).value):
        assert all(epsilon(other, 1e-5) < epsilon(base, 1e-5) for other in more)
        assert epsilon(base, 1e-6) > epsilon(base, 1e-5)


def test_what_is_too_large_is_left_to_the_bound():
    assert numeric_epsilon(Mechanism(0.01, 0.5, 10), 1e-5) is None
    assert renyi_epsilon(Mechanism(0.01, 0.5, 10), 1e-5) > 1000
    assert numeric_epsilon(Mechanism(1000.0, 0.001, 1), 1e-2).value == 0.0


@pytest.mark.parametrize(
    ("noise", "rate", "steps", "delta"),
    [
        (1e-160, 0.5, 10, 1e-5), (1e-200, 1.0, 1, 1e-5), (1.0, 1 - 1e-16, 100, 1e-5), (1.0, 1e-320, 10, 1e-5),
        (1.0, 0.01, 100, 5e-324),
    ],
)  # fmt: skip
def test_what_rounding_would_decide_has_no_epsilon(noise, rate, steps, delta):
    """As good as no noise is no perfect privacy."""
    mechanism = Mechanism(noise, rate, steps)
    assert not mechanism.computable(delta)
    assert renyi_epsilon(mechanism, delta) == math.inf
    assert numeric_epsilon(mechanism, delta) is None


def test_the_grid_has_the_theorems_room_for_tails(monkeypatch):
    """Gopi et al. 2021, theorem 5.1: L >= 2 + error + the larger of the two epsilons."""
    seen = []
    original = accountant._composed

    def composed(mechanism, below, mean, half, step, *rest):
        seen.append(half * step)
        return original(mechanism, below, mean, half, step, *rest)

    monkeypatch.setattr(accountant, "_composed", composed)
    numeric_epsilon(ANCHOR, 1e-5)
    once = Mechanism(ANCHOR.noise, ANCHOR.rate, 1)
    tails = renyi_epsilon(ANCHOR, 1e-8 / 4), renyi_epsilon(once, 1e-8 / (8 * ANCHOR.steps))
    assert min(seen) >= 2.01 + max(tails)
