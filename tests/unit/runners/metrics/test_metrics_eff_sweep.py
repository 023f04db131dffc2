"""Growth over batch and input sizes, by servers of known cost on a clock of our own; budgets and refusals."""

import numpy as np
import pytest

from runners.measure import measure
from runners.metrics.efficiency.growth import ClassFit, told
from runners.metrics.efficiency.sweep import lengths, of_length, sweep
from runners.models.base import SizeRefused
from runners.registry import get_metric
from runners.spec.models import InputSpec, SizesSpec
from tests.factories.runner_models import QUERIES, Clock, context

SIZES = SizesSpec(axes=(0,), least=8, most=4096, multiple_of=8)
COSTS = {
    "n": lambda n: 0.002 + 0.0001 * n,
    "n log n": lambda n: 0.002 + 0.00001 * n * np.log2(n),
    "n^2": lambda n: 0.002 + 1e-7 * n**2,
}


class Server:
    """Answers (items, tokens, 2) after `cost(positions of one item) · items` of the clock; notes what it is asked."""

    access = QUERIES

    def __init__(self, clock, cost, *, refuses=lambda length: False):
        self.clock, self.cost, self.refuses = clock, cost, refuses
        self.queries, self.calls, self.asked = 0, 0, []

    def predict(self, x):
        length = x.shape[1]
        self.asked.append(length)
        if self.refuses(length):
            raise SizeRefused(f"no {length} tokens, please")
        self.queries, self.calls = self.queries + len(x), self.calls + 1
        self.clock.now += self.cost(length) * len(x)
        return np.full((len(x), 2), 0.5)


def tokens(cost, *, sizes=SIZES, **more):
    refuses = more.pop("refuses", lambda _length: False)
    clock = Clock()
    server = Server(clock, cost, refuses=refuses)
    spec = InputSpec(kind="array", shape=(64, 2), sizes=sizes)
    x = np.random.default_rng(0).random((20, 64, 2)).astype(np.float32)
    ctx = context([0, 1] * 10, [0, 1] * 10, inputs=x, input=spec, model=server, clock=clock, **more)
    return ctx, server


def complexity(ctx, **parameters):
    (result,) = measure("efficiency.time_complexity", "t", {"over": "input", "seconds": 1e6, **parameters}, ctx)
    return result


@pytest.mark.parametrize(("name", "exponent", "within"), [("n", 1.0, 0.02), ("n log n", 1.1, 0.1), ("n^2", 2.0, 0.02)])
def test_growth_with_the_size_of_an_item(name, exponent, within):
    result = complexity(tokens(COSTS[name])[0])
    assert result.state == "ok", result.reason
    assert result.value == pytest.approx(exponent, abs=within)
    assert result.low <= result.value <= result.high
    assert result.details["class"] == ("n^2" if name == "n^2" else "n..n log n")
    assert result.details["points"][0]["n"] == 8
    assert result.details["points"][-1]["n"] == 4096
    assert result.details["points"][-1]["min_ms"] == pytest.approx(1000 * COSTS[name](4096))


@pytest.mark.parametrize(("name", "class_"), [("n", "n..n log n"), ("n log n", "n..n log n"), ("n^2", "n^2")])
def test_with_noise_a_linear_server_and_its_logarithm_are_told_together(name, class_):
    noise = np.random.default_rng(4)
    costs = COSTS[name]
    result = complexity(tokens(lambda n: costs(n) * (1 + 0.2 * noise.exponential()))[0], repeats=5)
    assert result.details["class"] in {class_, None}
    assert set(result.details["plausible"]) & set(class_.split(".."))


def test_constant_cost_has_no_class():
    result = complexity(tokens(lambda _n: 0.01)[0])
    assert (result.value, result.state) == (None, "undefined")
    assert "cannot be told: from 8 to 4096 positions" in result.reason
    assert result.details["class"] is None


def test_what_is_told_of_plausible_classes():
    def fits(*plausible):
        return [ClassFit(name, 0, 1, 0, name in plausible) for name in ("1", "log n", "n", "n log n", "n^2")]

    assert told(fits("n^2")) == "n^2"
    assert told(fits("n", "n log n")) == "n..n log n"
    assert told(fits("n log n")) == told(fits("n")) == "n..n log n"
    assert told(fits("1", "log n")) is None
    assert told(fits("n", "n log n", "n^2")) is None


def test_a_class_is_no_result_to_rank_by():
    assert [column.key for column in get_metric("efficiency.time_complexity").columns] == [""]


def test_without_sizes_it_is_not_applicable():
    ctx, server = tokens(COSTS["n"], sizes=None)
    result = complexity(ctx)
    assert (result.value, result.state) == (None, "not_applicable")
    assert "`input.sizes`" in result.reason
    assert server.calls == 0


def test_a_refused_size_is_said_and_left_out():
    result = complexity(tokens(COSTS["n"], refuses=lambda n: n < 20)[0], sizes=12)
    assert result.value == pytest.approx(1.0, abs=0.02)
    assert result.details["refused"]["8"] == "no 8 tokens, please"
    assert min(point["n"] for point in result.details["points"]) >= 20


def test_a_submission_that_takes_one_size_only_gets_its_own_words_as_the_reason():
    result = complexity(tokens(COSTS["n"], refuses=lambda n: n != 64)[0], sizes=9)
    assert (result.value, result.state) == (None, "undefined")
    assert "no 8 tokens, please" in result.reason
    assert "5 are needed" in result.reason


def test_the_area_is_what_a_square_grows_by():
    sizes = SizesSpec(axes=(1, 2), least=4, most=64)
    clock = Clock()
    shapes = []

    class Squares(Server):
        def predict(self, x):
            shapes.append(x.shape[1:])
            return super().predict(np.zeros((len(x), x.shape[2] * x.shape[3])))

    spec = InputSpec(kind="image", shape=(3, 8, 8), sizes=sizes)
    x = np.zeros((10, 3, 8, 8), np.float32)
    server = Squares(clock, lambda pixels: 0.001 + 1e-5 * pixels)
    result = complexity(context([0] * 10, [0] * 10, inputs=x, input=spec, model=server, clock=clock))
    assert result.value == pytest.approx(1.0, abs=0.02)
    assert {shape[0] for shape in shapes} == {3}
    assert all(height == width for _, height, width in shapes)
    assert result.details["points"][-1]["n"] == 64 * 64


@pytest.mark.parametrize("over", ["batch", "input"])
def test_a_sweep_takes_no_more_than_half_of_what_the_run_has_left(over):
    """Ten seconds a token: five sizes would take hours, and were asked whatever they took."""
    ctx, server = tokens(lambda n: 10.0 * n, remaining=lambda: 3000.0)
    result = complexity(ctx, over=over, seconds=1e9)
    assert (result.value, result.state) == (None, "undefined")
    assert "5 are needed" in result.reason
    assert "s" in result.details["ended"]
    # One question of each of the first sizes may pass the limit, no more.
    assert ctx.clock() < 3000.0
    assert server.calls < 5


def test_a_slow_start_does_not_end_the_sweep():
    starts = iter([20.0])
    result = complexity(tokens(lambda n: next(starts, 0.0) + 0.0001 * n)[0], seconds=60)
    assert result.n == 9
    assert result.value == pytest.approx(1.0, abs=0.02)


def test_rounds_have_an_order_of_their_own_and_end_with_the_time():
    ctx, _ = tokens(lambda _n: 1.0)
    found = sweep(
        ctx, [1, 2, 3, 4, 5, 6], lambda _n: ctx.inputs[:1], repeats=8, seconds=1000, rng=ctx.rng("t"), label="t"
    )
    assert found.times.shape == (6, 8)
    order = []
    sweep(
        ctx, [1, 2, 3, 4, 5, 6], lambda n: order.append(n) or ctx.inputs[:1], repeats=8, seconds=1000,
        rng=ctx.rng("t"), label="t",
    )  # fmt: skip
    rounds = [tuple(order[i : i + 6]) for i in range(7, len(order), 6)]
    assert [sorted(r) for r in rounds] == [[1, 2, 3, 4, 5, 6]] * 8
    assert len(set(rounds)) > 1
    # Answers that get slower than they were: three rounds are had, and the rest is given up.
    slow = iter(range(10**6))
    ctx, _ = tokens(lambda _n: 1.0 if next(slow) < 8 else 50.0)
    found = sweep(
        ctx, [1, 2, 3, 4, 5, 6], lambda _n: ctx.inputs[:1], repeats=8, seconds=100, rng=ctx.rng("t"), label="t"
    )
    assert found.times.shape == (6, 3)


def test_declared_questions_are_those_asked():
    info = get_metric("efficiency.time_complexity")
    for over in ("batch", "input"):
        ctx, server = tokens(COSTS["n"])
        complexity(ctx, over=over)
        given = {"over": over, "smallest": 1, "largest": 256, "sizes": 9, "repeats": 7}
        assert server.queries == pytest.approx(info.queries(given, 20).typical, abs=3)


def test_lengths_are_those_that_are_allowed():
    found = lengths(SIZES, 9)
    assert found[0] == 8
    assert found[-1] == 4096
    assert found == sorted(set(found))
    assert all(length % 8 == 0 for length in found)
    assert lengths(SizesSpec(axes=(0,), least=1, most=4), 9) == [1, 2, 3, 4]


def test_other_lengths_hold_the_items_own_values():
    x = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    sizes = SizesSpec(axes=(0,), least=1, most=9)
    np.testing.assert_array_equal(of_length(x, sizes, 2), x[:, :2])
    np.testing.assert_array_equal(of_length(x, sizes, 7), np.concatenate([x, x, x], axis=1)[:, :7])


def test_every_question_has_other_items():
    """Else a submission that remembers the last answer is as fast as it likes."""
    seen = set()
    ctx, server = tokens(COSTS["n"])
    plain = server.predict
    server.predict = lambda x: (seen.add(x.tobytes()), plain(x))[1]
    complexity(ctx)
    assert len(seen) > 9 * 4
