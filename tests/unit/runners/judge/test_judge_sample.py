"""The smoke stage: what is asked, what is expected of the rest, and who is told that it is too slow."""

import shutil

import numpy as np
import pytest

from runners.contract import Verdict
from runners.judge import run
from runners.judge.sample import Estimate, Pace, duration, estimate, too_slow, try_sample
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
    assert found.best == pytest.approx(found.usual / 1.5)


def test_the_warm_up_is_not_timed():
    assert pace(Slow(0.0, 0.001, first=5.0)).usual == pytest.approx(0.001)


def test_a_fast_submission_is_timed_with_full_questions_and_a_slow_one_with_small_ones():
    fast, slow = Slow(0.0, 1e-5), Slow(0.0, 2.0)
    pace(fast)
    pace(slow)
    assert max(fast.asked) == 256
    assert sorted(set(slow.asked[1:])) == [1, 2]
    assert len(slow.asked) == 5


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
    plain = estimate(world.spec("model", ACCURACY), model, found, items=1000, elapsed=5.0)
    assert plain.expected == pytest.approx(5 + 10.0)
    assert plain.hoped == pytest.approx(5 + 10.0 / 1.5)
    attacked = estimate(world.spec("model", ACCURACY, {**HSJ, "items": 20}), model, found, items=1000, elapsed=5.0)
    assert attacked.expected == pytest.approx(15 + 20 * 102 * 0.01)
    assert attacked.hoped == pytest.approx(5 + 1020 * 0.01 / 1.5)
    white = estimate(world.spec("model", ACCURACY, PGD), model, found, items=1000, elapsed=5.0)
    assert white == plain  # it gives no gradients, so the attack asks nothing
    wrong = estimate(world.spec("model", {**HSJ, "quries": 1}, {"use": "no.such"}), model, found, items=1000, elapsed=5)
    assert wrong == plain


@pytest.mark.parametrize("name", [name for name, info in metrics().items() if "queries" in info.needs])
def test_every_metric_that_asks_declares_how_much(name):
    info = metrics()[name]
    given = {"attack": "pgd", "eps": 0.1} if name == "robustness.attack" else {}
    assert info.queries is not None
    cost = info.queries(parse_parameters(info, given), 100)
    assert 0 <= cost.least <= cost.typical
    assert cost.typical > 0


def test_the_declared_questions_of_latency_are_those_asked(asked_by):
    result, asked = asked_by(LATENCY)
    info = metrics()["efficiency.latency"]
    declared = info.queries(parse_parameters(info, {"repeats": 30}), 120)
    assert result.verdict is Verdict.OK, result.message
    assert asked == declared.typical == declared.least == 40


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
    monkeypatch.setattr("runners.judge.run.try_sample", lambda *_, **__: Pace(usual=3.0, best=2.0))
    result = world.evaluate(world.spec("model", ACCURACY), engine=FakeEngine())
    assert (result.verdict, result.code) == (Verdict.TIMEOUT, "too_slow")
    assert result.estimated_seconds == pytest.approx(360, abs=5)
    assert model.rows == []
    note = next(e for e in world.events if e.kind == "note")
    assert note.data["limit_seconds"] == 60
    assert note.data["estimated_seconds"] == result.estimated_seconds


def test_a_submission_that_may_end_in_time_goes_on_and_is_told(world, serve, monkeypatch):
    serve(FakeServed())
    monkeypatch.setattr("runners.judge.run.try_sample", lambda *_, **__: Pace(usual=1.0, best=0.4))
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
