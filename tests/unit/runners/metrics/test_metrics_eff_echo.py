"""Latency without the way there and back: an echo on the same clock, asked in turns with the submission."""

from contextlib import contextmanager

import numpy as np
import pytest

from runners.measure import measure
from runners.metrics.efficiency.timing import REFERENCE
from runners.metrics.efficiency.turns import Times, net
from runners.models.base import NoEcho
from tests.factories.runner_models import Clock, TimedModel, model_context


class World:
    """A submission and an echo whose answers take `cost(n)` and `way(n)` seconds; notes who is asked what, and when."""

    def __init__(self, cost, way=None, **more):
        self.clock, self.opened, self.order, self.way = Clock(), 0, [], way
        world = self

        class Submission(TimedModel):
            def predict(self, x):
                world.order.append(("submission", x.tobytes()))
                return super().predict(x)

        model = Submission(self.clock, lambda n: cost(n) + (way(n) if way else 0.0))
        x = np.random.default_rng(0).random((40, 3)).astype(np.float32)
        self.ctx = model_context(model, x, [0, 1] * 20, clock=self.clock, echo=self.echo, **more)
        self.order.clear()

    @contextmanager
    def echo(self):
        if self.way is None:
            raise NoEcho("there is no second sandbox here")
        self.opened += 1
        yield self
        self.opened -= 1

    def predict(self, x):
        self.order.append(("echo", x.tobytes()))
        self.clock.now += self.way(len(x))
        return np.full((len(x), 2), 0.5)

    def measured(self, **parameters):
        found = {
            r.key.removeprefix("m").lstrip("."): r for r in measure("efficiency.latency", "m", parameters, self.ctx)
        }
        assert self.opened == 0
        return found


def test_total_is_overhead_and_net():
    """3 ms of the submission's own, 0.5 ms of way, and 0.1 ms an item."""
    found = World(lambda n: 0.003 + 0.0001 * n, lambda _n: 0.0005).measured(batch_sizes=[1, 16], repeats=100)
    assert found[""].value == pytest.approx(3.6)
    assert found["overhead"].value == pytest.approx(0.5)
    assert found["net"].value == pytest.approx(3.1)
    assert (found["net"].low, found["net"].high) == pytest.approx((3.1, 3.1))
    assert found["net_p95"].value == pytest.approx(3.1)
    assert found["net_p99"].state == "undefined"
    assert "999" not in found["net_p99"].reason
    assert found["throughput"].value == pytest.approx(16 / 0.0051)
    assert found["net_throughput"].value == pytest.approx(16 / 0.0046)
    assert found["net_throughput"].details == {"batch_size": 16}
    assert found["overhead"].direction == "none"


def test_the_same_questions_are_asked_in_turns_in_a_drawn_order():
    world = World(lambda n: 0.003, lambda _n: 0.0005)
    world.measured(batch_sizes=[1, 4], repeats=50, warm_up=2)
    pairs = list(zip(world.order[::2], world.order[1::2], strict=True))
    assert len(pairs) == 2 * (50 + 2)
    assert all({first[0], second[0]} == {"submission", "echo"} and first[1] == second[1] for first, second in pairs)
    led = sum(first[0] == "echo" for first, _ in pairs)
    assert 30 < led < 75
    assert len({question for _, question in world.order}) > 50


def test_what_the_way_hides_cannot_be_told():
    noise = np.random.default_rng(1)
    world = World(lambda _n: 1e-7, lambda _n: 0.001 * (1 + 0.2 * noise.random()))
    found = world.measured(repeats=100)
    for key in ("net", "net_throughput"):
        assert (found[key].value, found[key].state) == (None, "undefined")
        assert "cannot be told" in found[key].reason
        assert "the way there and back" in found[key].reason
    assert found[""].value > 0


def test_an_echo_slower_than_the_submission_makes_no_negative_time():
    times = Times({1: np.full(50, 0.001)}, {1: np.full(50, 0.002)})
    assert (net(times, 1, 0.5).value, net(times, 1, 0.5).state) == (None, "undefined")


def test_a_tail_that_is_the_ways_own_cannot_be_told():
    """Both wait 20 ms for a processor once in eight questions: that is no doing of the submission."""
    rng = np.random.default_rng(3)
    total, echo = (base + 0.02 * (rng.random(200) < 1 / 8) + 1e-5 * rng.random(200) for base in (0.003, 0.001))
    times = Times({1: total}, {1: echo})
    assert net(times, 1, 0.5).value == pytest.approx(2.0, abs=0.02)
    found = net(times, 1, 0.95)
    assert (found.value, found.state) == (None, "undefined")
    assert "alone takes 21 ms as often" in found.reason
    still = net(Times({1: total}, {1: np.full(200, 0.001) + 1e-5 * rng.random(200)}), 1, 0.95)
    assert still.value == pytest.approx(22.0, abs=0.1)


@pytest.mark.parametrize(("q", "samples"), [(0.5, 60), (0.95, 300)])
def test_the_interval_holds_the_true_net_time(q, samples):
    """Exponential tails on both: the true quantile is known, and 95 of 100 intervals or more hold it."""
    rng = np.random.default_rng(7)
    true = 1.0 - np.log(1 - q) * 0.5 - (0.2 + np.log(2) * 0.05)
    hits = 0
    for _ in range(300):
        total = {1: (1.0 + rng.exponential(0.5, samples)) / 1000}
        found = net(Times(total, {1: (0.2 + rng.exponential(0.05, samples)) / 1000}), 1, q)
        assert found.low <= found.value <= found.high
        hits += found.low <= true <= found.high
    assert hits >= 280


def test_without_an_echo_the_total_stays_and_says_why():
    found = World(lambda _n: 0.001).measured(repeats=30)
    assert found[""].value == pytest.approx(1.0)
    assert found[""].details["without_echo"] == "there is no second sandbox here"
    for key in ("overhead", "net", "net_p95", "net_p99", "net_throughput"):
        assert (found[key].value, found[key].state) == (None, "not_applicable")
        assert found[key].reason == "there is no second sandbox here"


def test_an_echo_that_is_lost_takes_no_submission_with_it():
    world = World(lambda _n: 0.001, lambda _n: 0.0001)
    left = iter(range(25))
    answer = world.predict

    def dying(x):
        if next(left, None) is None:
            raise NoEcho("the echo of this run did not answer: gone")
        return answer(x)

    world.predict = dying
    found = world.measured(repeats=40)
    assert found[""].n == 40
    assert found["net"].state == "not_applicable"
    assert "did not answer" in found["net"].reason


def test_where_time_is_short_there_are_fewer_repeats():
    """A second a question and 100 s left: half of that is this metric's, then it ends."""
    world = World(lambda _n: 1.0, lambda _n: 0.01, remaining=lambda: 100.0)
    found = world.measured(repeats=1000)
    assert found[""].n == 40
    assert found[""].details["samples"] == 40
    assert found["p95"].state == "undefined"
    scarce = World(lambda _n: 10.0, lambda _n: 0.01, remaining=lambda: 30.0).measured(repeats=1000)
    assert {r.state for r in scarce.values()} == {"undefined"}
    assert "6 are needed" in scarce[""].reason


def test_calibrated_is_what_a_node_of_the_reference_speed_takes():
    found = World(lambda _n: 0.004, lambda _n: 0.001, calibration=2 * REFERENCE).measured(repeats=30)
    assert found[""].value == pytest.approx(5.0)
    assert found["calibrated"].value == pytest.approx(10.0)  # the node is twice as fast as the reference
    assert (found["calibrated"].low, found["calibrated"].high) == pytest.approx((10.0, 10.0))
    assert found["calibrated"].details == {"node_rate": 2 * REFERENCE, "reference_rate": REFERENCE}


def test_a_node_without_calibration_says_so():
    found = World(lambda _n: 0.004, lambda _n: 0.001).measured(repeats=30)
    assert (found["calibrated"].value, found["calibrated"].state) == (None, "not_applicable")
    assert "no calibration" in found["calibrated"].reason
