import zipfile

import numpy as np
import pytest

from runners import registry
from runners.contract import SplitRef, Verdict
from runners.errors import ParticipantFault
from runners.judge.sample import Pace
from runners.registry import MetricValue, metric
from runners.spec.models import AggregateSpec
from tests.factories.judge_world import ACCURACY, FakeEngine, FakeServed, W, write

HELD_OUT = SplitRef(name="held_out", visibility="public", digest="", files=())
ROWS = slice(20, 50)
PROBE = {"use": "probe.validation"}


@pytest.fixture
def seen(monkeypatch):
    """What a metric that needs a validation split is given."""
    registry.metrics()
    monkeypatch.setattr(registry, "_METRICS", dict(registry._METRICS))
    found = []

    @metric("probe.validation", title="Probe", direction="none", range=(None, None), needs=("validation",))
    def probe(ctx):
        found.append(ctx)
        return MetricValue(float(ctx.validation.n))

    return found


@pytest.fixture
def held_out(world):
    world.split(world.folder / "validation", ROWS)
    return world


def test_a_model_answers_the_validation_split_too(held_out, serve, seen):
    model = FakeServed()
    serve(model)
    spec = held_out.spec("model", ACCURACY, PROBE, validation=HELD_OUT)
    result = held_out.evaluate(spec, engine=FakeEngine())
    assert result.verdict is Verdict.OK, result.message
    assert list(result.stages)[:6] == ["load", "prepare", "start", "sample", "predict", "validate"]
    (ctx,) = seen
    found = ctx.validation
    assert found.ids.tolist() == held_out.ids[ROWS]
    assert (found.labels == (held_out.labels[ROWS] == "yes")).all()
    assert np.allclose(found.probabilities, FakeServed().predict(held_out.x[ROWS]))
    assert (found.predictions == (held_out.x[ROWS] @ W > 0)).all()
    assert (found.inputs == held_out.x[ROWS]).all()
    assert found.attributes["group"].tolist() == ctx.attributes["group"].tolist()[ROWS]
    assert found.attribute_specs == ctx.attribute_specs
    assert found.validation is None
    assert found.model is model
    # What is scored is the phase's own split, as without one.
    plain = held_out.evaluate(held_out.spec("model", ACCURACY), engine=FakeEngine())
    assert [(r.key, r.value) for r in result.results if r.metric != "probe.validation"] == [
        (r.key, r.value) for r in plain.results
    ]


def test_a_file_has_no_answers_for_it(world, seen):
    world.split(world.folder / "split", slice(0, 20))
    world.split(world.folder / "validation", ROWS)
    held_out = world
    held_out.predictions([[i, 0.5] for i in held_out.ids[:20]])
    result = held_out.evaluate(held_out.spec("predictions", PROBE, validation=HELD_OUT))
    assert result.verdict is Verdict.OK, result.message
    (found,) = result.results
    assert found.state == "not_applicable"
    assert "a file that answers for the phase's own split only" in found.reason
    assert seen == []


def file_for_both(world, rows):
    """The split becomes the first twenty items; the file answers for them and for `rows`."""
    world.split(world.folder / "split", slice(0, 20))
    p = 1 / (1 + np.exp(-(world.x @ W)))
    world.predictions([[world.ids[i], p[i]] for i in (*range(20), *rows)])
    return world.evaluate(world.spec("predictions", ACCURACY, PROBE, validation=HELD_OUT)), p


def test_a_file_may_answer_for_it_too(held_out, seen):
    (held_out.folder / "validation" / "inputs.csv").unlink()  # a file needs none
    result, p = file_for_both(held_out, reversed(range(20, 50)))
    assert result.verdict is Verdict.OK, result.message
    assert (result.results[0].n, result.results[1].value) == (20, 30)
    (ctx,) = seen
    assert ctx.ids.tolist() == held_out.ids[:20]
    assert ctx.validation.ids.tolist() == held_out.ids[ROWS]
    assert np.allclose(ctx.validation.probabilities[:, 1], p[ROWS])
    assert (ctx.validation.labels == (held_out.labels[ROWS] == "yes")).all()


def test_a_file_answers_for_all_of_it_or_none(held_out, seen):
    result, _ = file_for_both(held_out, range(20, 49))
    assert result.verdict is Verdict.INVALID_OUTPUT
    assert "1 of 30 ids of the validation split missing: i049" in result.message
    result, _ = file_for_both(held_out, [*range(20, 50), 60])
    assert result.verdict is Verdict.INVALID_OUTPUT
    assert "i060" in result.message
    result, _ = file_for_both(held_out, [])
    assert result.verdict is Verdict.OK
    assert result.results[1].state == "not_applicable"


def test_a_phase_without_one_is_told_so(world, serve, seen):
    serve(FakeServed())
    (found,) = world.evaluate(world.spec("model", PROBE), engine=FakeEngine()).results
    assert found.state == "not_applicable"
    assert "the phase names none" in found.reason


@pytest.mark.parametrize("part", ["labels", "inputs"])
def test_an_incomplete_one_is_the_organisers_fault(held_out, serve, part):
    (held_out.folder / "validation" / f"{part}.csv").unlink()
    serve(FakeServed())
    result = held_out.evaluate(held_out.spec("model", ACCURACY, validation=HELD_OUT), engine=FakeEngine())
    assert result.verdict is Verdict.SCORER
    assert f"'held_out' has no {part}" in result.message


def test_a_model_that_dies_at_it_is_at_fault(held_out, serve):
    model = FakeServed()
    late = model.predict

    def predict(x):
        if len(x) == 30:
            raise ParticipantFault(Verdict.CRASH, "gone")
        return late(x)

    model.predict = predict
    serve(model)
    result = held_out.evaluate(held_out.spec("model", ACCURACY, validation=HELD_OUT), engine=FakeEngine())
    assert (result.verdict, result.results) == (Verdict.CRASH, ())


def test_clusters_of_the_validation_split_are_one_decision_too(held_out, serve, seen):
    held_out.split(held_out.folder / "split", slice(0, 2))  # one yes and one no
    assert len(set(held_out.labels[:2])) == 2
    write(held_out.folder / "split" / "clusters.csv", [["id", "video"], *([i, i] for i in held_out.ids[:2])])
    names = [f"v{label}" for label in held_out.labels[ROWS]]
    rows = [["id", "video"], *(list(pair) for pair in zip(held_out.ids[ROWS], names, strict=True))]
    write(held_out.folder / "validation" / "clusters.csv", rows)
    serve(FakeServed())
    spec = held_out.spec("model", PROBE, validation=HELD_OUT, aggregate=AggregateSpec(by="video"))
    result = held_out.evaluate(spec, engine=FakeEngine())
    assert result.verdict is Verdict.OK, result.message
    assert result.results[0].value == 2
    assert seen[0].validation.ids.tolist() == ["vno", "vyes"]


def test_its_items_are_part_of_the_estimate(held_out, serve, monkeypatch):
    monkeypatch.setattr("runners.judge.foresee.try_sample", lambda *_, **__: Pace(usual=0.1, best=0.01))
    found = []
    for validation in (None, HELD_OUT):
        serve(FakeServed())
        result = held_out.evaluate(held_out.spec("model", ACCURACY, validation=validation), engine=FakeEngine())
        found.append(result.estimated_seconds)
    assert found[1] - found[0] == pytest.approx(30 * 0.1, abs=0.5)


def test_facts_of_a_model(world, serve):
    model = FakeServed()
    model.offer = {"gradients": True, "parameters": 8, "flops": 12, "uncounted": ""}
    serve(model)
    found = _facts(world, "model")
    assert (found.model_bytes, found.image_bytes, found.parameters, found.flops) == (18, None, 8, 12)
    assert found.peak_memory == 12345


def test_facts_that_make_no_sense_are_unknown(world, serve):
    model = FakeServed()
    model.offer = {"parameters": True, "flops": -1, "uncounted": "the operator Foo is not counted"}
    serve(model)
    found = _facts(world, "model")
    assert (found.parameters, found.flops, found.uncounted) == (None, None, "the operator Foo is not counted")


def test_facts_of_code_and_containers(world, serve):
    serve(FakeServed(), artifact="code.zip")
    with zipfile.ZipFile(world.folder / "submission" / "code.zip", "w") as file:
        file.writestr("main.py", "pass")
    size = (world.folder / "submission" / "code.zip").stat().st_size
    found = _facts(world, "code")
    assert (found.model_bytes, found.image_bytes, found.parameters) == (size, None, None)
    assert "`model` submission" in found.uncounted


def _facts(world, kind):
    contexts = []
    registry.metrics()
    known = dict(registry._METRICS)

    try:

        @metric("probe.facts", title="Probe", direction="none", range=(None, None), needs=("predictions",))
        def probe(ctx):
            contexts.append(ctx)
            return MetricValue(0.0)

        result = world.evaluate(world.spec(kind, {"use": "probe.facts"}), engine=FakeEngine())
    finally:
        registry._METRICS.clear()
        registry._METRICS.update(known)
    assert result.verdict is Verdict.OK, result.message
    return contexts[0].facts
