"""What a run will ask and take is told before it is asked, and what metrics declare holds what they ask."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from runners.forecast import GRADIENT_TIMES, Forecast, Speed, forecast
from runners.judge.foresee import Ahead, estimate
from runners.judge.sample import Pace, gradient_pace
from runners.measure import measure
from runners.registry import Asks, Cost, get_attack, metrics, parse_parameters
from runners.spec.models import AttributeSpec, InputSpec, MetricUse, TaskSpec
from runners.surrogates import Examples
from tests.factories.judge_world import ACCURACY, HSJ, PGD, FakeEngine, FakeServed
from tests.factories.runner_models import BOTH, QUERIES, Clock, NetModel, digits, model_context

N = 24
TASK = TaskSpec(kind="binary", classes=("no", "yes"), positive="yes", favourable="yes")
REQUIRED = {
    "attack": "pgd", "attacks": ["pgd", "fgsm"], "eps": 0.1, "radius": 0.1, "surrogates": ["s"], "attribute": "a",
}  # fmt: skip
ASKING = sorted(name for name, info in metrics().items() if info.queries is not None)
#: Settings in which a metric asks something else, or more, than by default.
SETTINGS = {
    "robustness.attack": [
        {"attack": "pgd", "bisections": 0}, {"attack": "fgsm"}, {"attack": "apgd"}, {"attack": "universal"},
        {"attack": "square", "queries": 60}, {"attack": "boundary", "norm": "l2", "queries": 120},
        {"attack": "hop_skip_jump", "norm": "l2", "queries": 120, "check_items": 5},
        {"attack": "pgd", "check_items": 0}, {"attack": "pgd", "eps": 1e-6},
    ],
    "robustness.bias": [{"defence": "median_smoothing"}],
    "robustness.conditions": [{"defence": "median_smoothing", "norm": "linf"}],
    "explainability.stability": [{"method": "saliency"}, {"method": "integrated_gradients", "steps": 8}],
    "explainability.average_drop": [{"method": "gradient_x_input"}],

    "efficiency.latency": [{"batch_sizes": [1, 8], "repeats": 30}],
    "privacy.extraction_fidelity": [{"budget": 200}],
}  # fmt: skip
#: By default it goes on for six seconds.
SHORT = {"efficiency.energy": {"windows": 6, "seconds": 0.05}}
CASES = [(name, more) for name in ASKING for more in (SHORT.get(name, {}), *SETTINGS.get(name, []))]


@dataclass
class Counting(NetModel):
    """Counts answers and gradients apart."""

    answers: int = 0
    gradients: int = 0

    def predict(self, x):
        self.answers += len(x)
        return super().predict(x)

    def gradient(self, x, y, *, loss="cross_entropy"):
        self.gradients += len(x)
        return super().gradient(x, y, loss=loss)


@dataclass
class Made:
    """Examples against a surrogate that were made before: the items themselves."""

    x: np.ndarray
    chosen: np.ndarray = field(default_factory=lambda: np.arange(N))

    def examples(self, _name, _key):
        yes = np.ones(self.chosen.size, dtype=bool)
        return Examples(self.chosen, self.x[self.chosen], yes, ~yes, 0, 0.0)


@pytest.fixture(scope="module")
def everything():
    """A context in which every metric of the registry can be measured: two classes of small pictures."""
    net, x, y = digits()
    # The digits of the upper half against those of the lower: their scores, added up.
    fold = np.repeat(np.eye(2), 5, axis=0)
    weights = [*net.weights[:-1], net.weights[-1] @ fold]
    model = Counting(weights, [*net.biases[:-1], net.biases[-1] @ fold])
    images, labels = x[:N].reshape(N, 1, 8, 8), (y[:N] >= 5).astype(np.int64)
    names = np.array(["1", "2"], dtype=object)[np.arange(N) % 2]
    ctx = model_context(
        model, images, labels, task=TASK, surrogates=Made(images),
    )  # fmt: skip
    members = np.array(["yes", "no"], dtype=object)[np.arange(N) % 2]
    kinds = np.array(["forget", "retain", "unseen"], dtype=object)[np.arange(N) % 3]
    fields = (info.parameters.model_fields.get("attribute") for info in metrics().values())
    named = {str(entry.default): names for entry in fields if entry is not None and not entry.is_required()}
    named |= {"a": names, "member": members, "unlearning": kinds}
    ctx = replace(
        ctx, input=InputSpec(kind="image", shape=(1, 8, 8), range=(0, 1)), attributes=named,
        attribute_specs={name: AttributeSpec(privileged=str(values[0]), minimum=1) for name, values in named.items()},
    )  # fmt: skip
    return replace(ctx, validation=replace(ctx, ids=ctx.ids + "v"))


def asked_of(ctx, name, given):
    """Answers and gradients that a metric asks, and its results."""
    model = replace(ctx.model, answers=0, gradients=0, queries=0, calls=0)
    results = list(measure(name, "x", given, replace(ctx, model=model)))
    assert model.queries == model.answers + model.gradients
    return model.answers, model.gradients, results


def given_to(name, **more):
    fields = metrics()[name].parameters.model_fields
    required = {key: value for key, value in REQUIRED.items() if key in fields and fields[key].is_required()}
    if "attribute" in required and "tuple" in str(fields["attribute"].annotation):
        required["attribute"] = ["a"]
    return required | more


@pytest.mark.parametrize(("name", "more"), CASES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CASES)])
def test_what_a_metric_asks_is_within_what_it_declares(everything, name, more):
    info, given = metrics()[name], given_to(name, **more)
    cost = info.queries(parse_parameters(info, given), N)
    answers, gradients, results = asked_of(everything, name, given)
    assert cost.access in BOTH
    assert cost.least <= answers + gradients, results[0].reason
    assert answers + gradients <= cost.typical or cost.seconds
    assert gradients <= cost.backward


@pytest.mark.parametrize("name", sorted(set(metrics()) - set(ASKING)))
def test_a_metric_that_declares_nothing_asks_nothing(everything, name):
    assert not {"queries", "gradients"} & set(metrics()[name].needs)
    assert asked_of(everything, name, given_to(name))[:2] == (0, 0)


def test_gradients_are_told_apart_from_answers():
    assert (Asks(2, 3) + Asks(1)) * 10 == Asks(30, 30)
    assert Asks(2, 3).total == 5
    assert Cost.of(Asks(2, 3), least=1, access="gradients").backward == 3
    # Who does not tell them apart is taken at the dearer.
    assert (Cost(1, 5, "gradients").backward, Cost(1, 5).backward) == (5, 0)
    pgd = get_attack("pgd")
    assert pgd.asks(parse_parameters(pgd, {"steps": 20, "restarts": 0, "bisections": 0})) == Asks(2 + 1 + 16, 20)
    assert replace(pgd, queries=lambda _: 7).asks({}) == Asks(0, 7)
    assert replace(get_attack("square"), queries=lambda _: 7).asks({}) == Asks(7)
    assert replace(pgd, queries=None).asks({}) == Asks(0)


def uses(*given):
    return [MetricUse.model_validate(use) for use in given]


def test_only_what_the_model_and_the_split_serve_is_foreseen():
    plain = {"use": "robustness.attack", "attack": "fgsm", "eps": 0.1, "check_items": 0}
    bias = {"use": "robustness.bias", "attribute": "a", "attack": "fgsm", "eps": 0.1, "check_items": 0}
    given = uses(
        {"use": "performance.accuracy"}, plain, {**HSJ, "items": 5}, bias, {"use": "no.such"}, {**PGD, "eps": -1}
    )
    found = {one.prefix: one for one in forecast(given, items=1000)}
    assert list(found) == ["robustness.attack", "hsj", "robustness.bias"]
    assert found["robustness.attack"] == Forecast(
        "robustness.attack", "robustness.attack", "fgsm", "gradients", 1000, 4000, 1000
    )
    assert found["robustness.attack"].text == "robustness.attack (fgsm): 4,000 forward and 1,000 backward passes"
    black = forecast(given, items=1000, access=QUERIES, lacking=["attributes"])
    assert [(one.prefix, one.backward) for one in black] == [("hsj", 0)]
    assert found["hsj"].backward > 0  # the checks beside it, where there are gradients
    several = {"use": "robustness.worst_case", "attacks": ["fgsm", "square"], "eps": 0.1}
    assert forecast(uses(several), items=10)[0].attacks == "fgsm, square"


def test_seconds_come_from_the_pace_of_answers_and_of_gradients():
    one = Forecast("a", "robustness.attack", "pgd", "gradients", 10, 100, 40)
    assert Speed(0.1, 0.5).seconds(one) == pytest.approx(60 * 0.1 + 40 * 0.5)
    assert Speed(0.1).seconds(one) == pytest.approx(60 * 0.1 + 40 * 0.1 * GRADIENT_TIMES)
    ahead = Ahead((one,), 200, 50)
    found = estimate(ahead, Pace(usual=0.1, best=0.05, densest=0.01, gradient=0.5), elapsed=3.0)
    assert found.expected == pytest.approx(3 + 250 * 0.1 + 26)
    # At the best: what is sure to be asked, at the densest, and a gradient no slower than an answer.
    assert found.hoped == pytest.approx(3 + 250 * 0.05 + 10 * 0.01)
    fixed = forecast(uses({"use": "efficiency.energy", "windows": 6, "seconds": 5}), items=10)[0]
    assert Speed(0.001).seconds(fixed) == 30
    assert fixed.text == "efficiency.energy: 112 or more forward passes"


def test_the_pace_of_gradients_is_timed_warm_and_in_a_moment():
    clock, asked = Clock(), []

    class Timed:
        def gradient(self, x, y):
            asked.append(len(x))
            clock.now += (5.0 if len(asked) == 1 else 0.0) + 0.02 * len(x)

    sample = np.zeros((3, 4), dtype=np.float32)
    assert gradient_pace(Timed(), sample, Pace(0.01, 0.0), limit=600, clock=clock) == pytest.approx(0.02)
    assert asked == [8, 8]  # a quarter of a second at three answers each
    assert gradient_pace(Timed(), sample, Pace(1.0, 0.0), limit=600, clock=clock) is None
    assert len(asked) == 2


def notes(world):
    return [event for event in world.events if event.kind == "note" and "forecast" in event.data]


def test_a_run_tells_what_it_will_ask_before_it_measures(world, serve):
    serve(FakeServed())
    world.evaluate(world.spec("model", ACCURACY, PGD, HSJ), engine=FakeEngine())
    (note,) = notes(world)
    assert [one["result"] for one in note.data["forecast"]] == ["pgd", "hsj"]
    pgd = note.data["forecast"][0]
    assert (pgd["attacks"], pgd["least"]) == ("pgd", 40)
    assert pgd["forward"] > pgd["backward"] > 0
    assert note.data["seconds"] == pytest.approx(sum(one["seconds"] for one in note.data["forecast"]), abs=0.01)
    assert note.data["gradient"] == "measured"
    assert f"pgd (pgd): {pgd['forward']:,} forward and {pgd['backward']:,} backward passes, about" in note.message
    assert "of at most 60 s" in note.message
    stages = [event.message for event in world.events if event.kind == "stage" or event is note]
    assert stages.index(note.message) < stages.index("metric:pgd")
    assert stages.index(note.message) < stages.index("predict")


def test_without_a_sample_the_pace_is_that_of_the_split(world, serve):
    serve(FakeServed())
    spec = world.spec("model", ACCURACY, PGD)
    spec = spec.model_copy(update={"split": spec.split.model_copy(update={"visibility": "public"})})
    world.evaluate(spec, engine=FakeEngine())
    (note,) = notes(world)
    assert note.data["gradient"] == "assumed"
    assert "taken for three answers" in note.message
    stages = [event.message for event in world.events if event.kind == "stage" or event is note]
    assert stages.index("predict") < stages.index(note.message) < stages.index("metric:pgd")


def test_a_run_that_asks_nothing_more_has_nothing_to_tell(world, serve):
    serve(FakeServed(access=QUERIES))
    world.evaluate(world.spec("model", ACCURACY, PGD), engine=FakeEngine())
    assert notes(world) == []
