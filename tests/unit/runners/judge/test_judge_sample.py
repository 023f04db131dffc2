"""The smoke stage: what is asked, what is expected of the rest, and who is told that it is too slow."""

import itertools
import shutil

import numpy as np
import pytest

from runners.contract import Verdict
from runners.forecast import forecast
from runners.judge import run
from runners.judge.asking import batch_items
from runners.judge.foresee import Ahead, estimate
from runners.judge.sample import Estimate, Pace, duration, too_slow, try_sample
from runners.registry import metrics, parse_parameters
from tests.factories.judge_world import ACCURACY, HSJ, LATENCY, PGD, FakeEngine, FakeServed, World

SPLIT = np.zeros((1000, 3), dtype=np.float32)


@pytest.fixture
def asked_by(world, serve):
    """Evaluates one metric; the result, and how many items the model was asked after the split."""

    def use(metric):
        serve(model := FakeServed())
        at = {}

        def predict(x, plain=model.predict):
            if [e for e in world.events if e.kind == "stage"][-1].message.startswith("metric:"):
                at.setdefault("before", model.queries)
            return plain(x)

        model.predict = predict
        result = world.evaluate(world.spec("model", metric), engine=FakeEngine())
        return result, model.queries - at["before"]

    return use


class Slow:
    """Takes `a + b·n` seconds of a clock of its own for n items; the first question `first` more."""

    access = frozenset({"queries"})

    def __init__(self, a=0.0, b=0.0, first=0.0) -> None:
        self.a, self.b, self.first, self.now, self.asked = a, b, first, 0.0, []

    def predict(self, x):
        self.now += self.a + self.b * len(x) + (self.first if not self.asked else 0.0)
        self.asked.append(len(x))

    def clock(self):
        return self.now


def pace(model, sample=10, limit=600.0, split=SPLIT):
    return try_sample(model, np.ones((sample, 3), dtype=np.float32), split, limit=limit, clock=model.clock)


@pytest.mark.parametrize(("a", "b"), [(0.01, 0.001), (0.0, 0.002), (0.2, 0.0), (0.0, 3.0), (30.0, 0.0)])
def test_seconds_an_item_are_those_of_a_full_question(a, b):
    found = pace(Slow(a, b))
    assert found.usual == pytest.approx(a / 256 + b, rel=1e-6, abs=1e-12)
    assert found.best <= found.usual / 1.5 * (1 + 1e-9)


def test_the_warm_up_is_not_timed():
    assert pace(Slow(0.0, 0.001, first=5.0)).usual == pytest.approx(0.001)


def test_a_fast_submission_is_timed_with_full_questions_and_a_slow_one_with_small_ones():
    fast, slow = Slow(0.0, 1e-5), Slow(0.0, 2.0)
    found = pace(fast)
    pace(slow)
    assert found.best == pytest.approx(found.usual / 1.5)
    assert fast.asked == [10, 256, 256, 64, 64]
    assert slow.asked == [10, 1, 1, 4, 4]


def test_after_a_cold_first_answer_sizes_grow_by_what_warm_ones_take():
    model = Slow(0.05, 0.001, first=20.0)
    found = pace(model, limit=60.0)
    assert model.asked[1:3] == [1, 1]
    assert model.asked[1:] == sorted(model.asked[1:])
    assert found.usual == pytest.approx(0.05 / 256 + 0.001, rel=1e-6)
    assert model.now - 20 < 0.06 * 60


def test_time_is_taken_only_of_those_whose_end_is_in_doubt():
    sure, unsure = Slow(0.0, 0.01, first=20), Slow(0.0, 0.4, first=20)
    pace(sure)
    pace(unsure)
    assert sure.now < 21
    assert sorted(set(unsure.asked[1:])) == [1, 4, 16]
    many = Slow(0.0, 0.01, first=20)
    try_sample(many, np.ones((10, 3), np.float32), SPLIT, limit=600.0, asked=10**6, clock=many.clock)
    assert max(many.asked) == 256


class Server:
    """`a + b·n` seconds for n items, by its own clock. The first question takes `first` more, the first of each size
    `shape`; each takes up to `noise` of itself longer.
    """

    access = frozenset({"queries"})

    def __init__(self, *, a, b, first=0.0, shape=0.0, noise=0.0, seed=0):
        self.a, self.b, self.noise, self.first, self.shape = a, b, noise, first, shape
        self.now, self.seen, self.draw = 0.0, set(), np.random.default_rng(seed)

    def predict(self, x):
        self.now += (self.a + self.b * len(x)) * (1 + self.noise * self.draw.random())
        self.now += (self.first if not self.seen else 0.0) + (self.shape if len(x) not in self.seen else 0.0)
        self.seen.add(len(x))

    def clock(self):
        return self.now

    def run(self, *, items, sample, limit, width=1):
        """Whether it is refused; seconds until then, and of the whole run."""
        x = np.zeros((items, width), np.float32)
        found = try_sample(self, np.ones((sample, width), np.float32), x, limit=limit, clock=self.clock)
        told = Estimate(expected=0, hoped=self.now + items * found.best)
        refused, at, step = too_slow(told, limit) is not None, self.now, batch_items(x)
        for start in range(0, items, step):
            self.predict(x[start : start + step])
        return refused, at, self.now


#: Share of the time limit that the plain run takes, and the share of that which is a matter of questions, not items.
SHARES = (0.2, 0.6, 0.9, 0.99)
FIXED = (0.0, 0.3, 0.9, 1.0)


def servers(share, *, items, limit, width=1, **more):
    """Servers whose run takes `share` of the limit, be it by their questions or their items."""
    questions = -(-items // batch_items(np.zeros((1, width), np.float32)))
    for fixed in FIXED:
        whole = share * limit
        yield Server(a=fixed * whole / questions, b=(1 - fixed) * whole / items, **more)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5])
@pytest.mark.parametrize(("items", "sample", "width"), [
    (20, 5, 1), (300, 10, 1), (1000, 1, 1), (5000, 300, 1), (50_000, 1000, 1), (200, 10, 150_000),
])  # fmt: skip
def test_nobody_is_refused_who_would_have_ended_in_time(items, sample, width, noise):
    ended = 0
    for limit, share, first, shape in itertools.product((60.0, 3600.0), SHARES, (0.0, 0.05, 0.4), (0.0, 0.003)):
        for seed, server in enumerate(
            servers(share, items=items, limit=limit, width=width, first=first * limit, shape=shape * limit, noise=noise)
        ):
            server.draw = np.random.default_rng(seed)
            refused, _, whole = server.run(items=items, sample=sample, limit=limit, width=width)
            assert not (refused and whole <= limit), vars(server)
            ended += whole <= limit
    assert ended >= 30


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5])
def test_the_hopeless_are_mostly_refused_early(noise):
    limit, refused = 600.0, []
    for items, width in ((10_000, 1), (50_000, 1), (1000, 150_000)):
        for first in (0.0, 20.0, 100.0):
            for server in servers(10, items=items, limit=limit, width=width, first=first, noise=noise):
                warm_up = first + (1 + noise) * (server.a + server.b * 10)
                told, at, _ = server.run(items=items, sample=10, limit=limit, width=width)
                refused.append(told)
                assert at <= warm_up + (1 + noise) * (0.05 * limit + 2 * (server.a + server.b))
    assert sum(refused) >= 0.8 * len(refused)


def test_of_a_large_sample_only_as_much_is_asked_as_its_share_of_the_time_allows():
    quick, slow = Slow(0.0, 1e-6), Slow(0.0, 0.05)
    pace(quick, sample=5000)
    pace(slow, sample=5000, limit=600.0)
    assert sum(quick.asked) >= 5000
    assert sum(slow.asked) * 0.05 < 0.1 * 600


def test_a_sample_of_one_item_will_do():
    assert pace(Slow(0.0, 0.5), sample=1).usual == pytest.approx(0.5)


def test_metrics_say_what_they_ask(tmp_path):
    world = World(tmp_path)
    model = Slow(0.0, 0.01)
    found = pace(model)

    def estimated(*uses):
        spec = world.spec("model", ACCURACY, *uses)
        ahead = Ahead(tuple(forecast(spec.metrics, items=1000, access=model.access)), 1000)
        return estimate(ahead, found, elapsed=5.0)

    plain = estimated()
    assert plain.expected == pytest.approx(5 + 10.0)
    assert 5 < plain.hoped <= 5 + 10.0 / 1.5
    alone = {**HSJ, "items": 20, "check_items": 0}
    attacked = estimated(alone)
    assert attacked.expected == pytest.approx(15 + 20 * 102 * 0.01)
    assert attacked.hoped == pytest.approx(plain.hoped + 20 * found.densest)
    white = estimated(PGD)
    assert white == plain  # it gives no gradients, so the attack asks nothing
    wrong = estimated({**HSJ, "quries": 1}, {"use": "no.such"})
    assert wrong == plain


@pytest.mark.parametrize("name", [name for name, info in metrics().items() if "queries" in info.needs])
def test_every_metric_that_asks_declares_how_much(name):
    info = metrics()[name]
    fields = info.parameters.model_fields
    some = {"attack": "pgd", "attacks": ["pgd"], "eps": 0.1, "attribute": "a", "radius": 0.1, "surrogates": ["s"]}
    given = {key: value for key, value in some.items() if key in fields and fields[key].is_required()}
    assert info.queries is not None
    cost = info.queries(parse_parameters(info, given), 100)
    assert 0 <= cost.least <= cost.typical
    assert cost.typical > 0


def test_the_declared_questions_of_latency_are_those_asked(asked_by):
    result, asked = asked_by(LATENCY)
    info = metrics()["efficiency.latency"]
    declared = info.queries(parse_parameters(info, {"repeats": 30}), 120)
    assert result.verdict is Verdict.OK, result.message
    assert asked == declared.typical == 40
    assert declared.least == 10  # the warm-up: where time is short there are fewer repeats


def test_attacks_stay_below_what_they_declare(asked_by):
    info = metrics()["robustness.attack"]
    for metric in (HSJ, PGD):
        result, asked = asked_by(metric)
        declared = info.queries(
            parse_parameters(info, {k: v for k, v in metric.items() if k not in ("use", "as")}), 120
        )
        assert result.verdict is Verdict.OK, result.message
        assert declared.least <= asked <= declared.typical


def test_only_what_cannot_end_in_time_even_at_its_best_is_refused():
    assert too_slow(Estimate(expected=900, hoped=600), 600) is None
    fault = too_slow(Estimate(expected=1800, hoped=1200), 600)
    assert (fault.verdict, fault.code) == (Verdict.TIMEOUT, "too_slow")
    assert "30 min" in fault.message
    assert "10 min" in fault.message


@pytest.mark.parametrize(("seconds", "words"), [(0.5, "0.5 s"), (119, "119 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_a_submission_that_cannot_end_in_time_is_told_at_once(world, serve, monkeypatch):
    serve(model := FakeServed())
    monkeypatch.setattr("runners.judge.foresee.try_sample", lambda *_, **__: Pace(usual=3.0, best=2.0))
    result = world.evaluate(world.spec("model", ACCURACY), engine=FakeEngine())
    assert (result.verdict, result.code) == (Verdict.TIMEOUT, "too_slow")
    assert result.estimated_seconds == pytest.approx(360, abs=5)
    assert model.rows == []
    note = next(e for e in world.events if e.kind == "note")
    assert note.data["limit_seconds"] == 60
    assert note.data["estimated_seconds"] == result.estimated_seconds


def test_a_submission_that_may_end_in_time_goes_on_and_is_told(world, serve, monkeypatch):
    serve(FakeServed())
    monkeypatch.setattr("runners.judge.foresee.try_sample", lambda *_, **__: Pace(usual=1.0, best=0.4))
    result = world.evaluate(world.spec("model", ACCURACY), engine=FakeEngine())
    assert result.verdict is Verdict.OK
    assert result.estimated_seconds == pytest.approx(120, abs=5)
    note = next(e for e in world.events if e.kind == "note")
    assert "may not end in time" in note.message
    assert note.data["peak_memory"] == 12345


@pytest.mark.parametrize(
    ("sample", "split", "words"), [(False, "hidden", "no public sample"), (True, "public", "asked")]
)
def test_without_a_sample_to_try_the_run_says_so(world, serve, sample, split, words):
    serve(model := FakeServed())
    spec = world.spec("model", ACCURACY)
    spec = spec.model_copy(update={"split": spec.split.model_copy(update={"visibility": split})})
    if not sample:
        shutil.rmtree(world.folder / "sample")
        spec = spec.model_copy(update={"sample": None})
    result = world.evaluate(spec, engine=FakeEngine())
    assert result.verdict is Verdict.OK
    assert result.estimated_seconds is None
    assert "sample" not in result.stages
    assert any(words in e.message for e in world.events if e.kind == "note")
    assert model.queries == 120 + 6  # and some of them a second time
    # Where the data are public, so is all that was written about them.
    assert result.sample_log == ("hello\ufffd \ufffd" if split == "public" else "")


def test_the_log_of_the_sample_is_told_apart(world, serve):
    class Chatty(FakeServed):
        written = b"loaded\n"

        def predict(self, x):
            self.written += b"asked\n"
            return super().predict(x)

        def logs(self):
            return self.written

    def watching(engine, *, watch, **_):
        watch(model.logs)
        return model

    serve(model := Chatty())
    run.open_model = watching  # `serve` puts the right one back
    result = world.evaluate(world.spec("model", ACCURACY), engine=FakeEngine())
    assert result.verdict is Verdict.OK
    assert result.sample_log == "loaded\n" + "asked\n" * 5
    assert result.log == "loaded\n" + "asked\n" * 7
    told = [(e.message, e.data) for e in world.events if e.kind == "log"]
    assert "".join(text for text, data in told if data["public"]) == result.sample_log
    assert "".join(text for text, _ in told) == result.log
