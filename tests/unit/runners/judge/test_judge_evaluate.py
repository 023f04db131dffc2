import zipfile

import numpy as np
import pytest

from runners.contract import SubmissionRef, Verdict
from runners.errors import ParticipantFault, RetryableError
from runners.spec.models import AggregateSpec, SubmissionKind
from tests.factories.judge_world import ACCURACY, HSJ, LATENCY, PARITY, PGD, TIMED, FakeEngine, FakeServed, N, W, write


def test_predictions_are_scored_in_one_hop(world):
    world.predictions()
    result = world.evaluate(world.spec("predictions", ACCURACY, PARITY, PGD, LATENCY))
    assert result.verdict is Verdict.OK, result.message
    assert (result.run, result.attempt) == ("r1", 2)
    found = {r.key: r for r in result.results}
    assert list(found)[:2] == ["performance.accuracy", "fairness.statistical_parity_difference[group]"]
    truth = (world.x @ W > 0) == (world.labels == "yes")
    assert found["performance.accuracy"].value == truth.mean()
    assert found["fairness.statistical_parity_difference[group]"].state == "ok"
    for key in ("pgd.robust_accuracy", "pgd.queries", "efficiency.latency", "efficiency.latency.p95"):
        assert (found[key].value, found[key].state) == (None, "not_applicable")
        assert "file of answers" in found[key].reason
    assert set(result.stages) == {
        "load",
        "predict",
        *(f"metric:{p}" for p in ("performance.accuracy", PARITY["use"], "pgd", "efficiency.latency")),
    }
    assert result.environment["seed"] == 9
    assert result.environment["packages"]["numpy"] == np.__version__


def test_results_are_the_same_again(world):
    world.predictions()
    spec = world.spec("predictions", ACCURACY, PARITY)
    first, again = world.evaluate(spec), world.evaluate(spec)
    for a, b in zip(first.results, again.results, strict=True):
        assert (a.value, a.low, a.high) == (b.value, b.low, b.high)


def test_bad_predictions_are_the_participants_fault(world):
    world.predictions([["i000", 0.5], ["i000", 0.5], ["nobody", 2.0]])
    result = world.evaluate(world.spec("predictions", ACCURACY))
    assert result.verdict is Verdict.INVALID_OUTPUT
    assert "i000" in result.message
    assert result.results == ()


def test_two_prediction_files_are_refused(world):
    world.predictions()
    write(world.folder / "submission" / "q.csv", [["id"]])
    result = world.evaluate(world.spec("predictions", ACCURACY))
    assert result.verdict is Verdict.INVALID_OUTPUT
    assert "has 2" in result.message


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ({"use": "performance.acuracy"}, "acuracy"),
        ({"use": "performance.accuracy", "rounds": 3}, "rounds"),
        ({"use": PARITY["use"], "attribute": "grop"}, "grop"),
    ],
)
def test_wrong_settings_are_the_organisers_fault(world, metric, text):
    world.predictions()
    result = world.evaluate(world.spec("predictions", ACCURACY, metric))
    assert result.verdict is Verdict.SCORER
    assert text in result.message
    assert [r.key for r in result.results] == ["performance.accuracy"]


def test_two_metrics_of_one_name_are_the_organisers_fault(world):
    world.predictions()
    result = world.evaluate(world.spec("predictions", ACCURACY, ACCURACY))
    assert result.verdict is Verdict.SCORER
    assert "performance.accuracy" in result.message


def test_a_split_without_labels_is_the_organisers_fault(world):
    world.predictions()
    (world.folder / "split" / "labels.csv").unlink()
    result = world.evaluate(world.spec("predictions", ACCURACY))
    assert result.verdict is Verdict.SCORER


def test_a_bug_in_a_metric_propagates(world, monkeypatch):
    world.predictions()

    def broken(*_, **__):
        raise KeyError("bug")

    monkeypatch.setattr("runners.measure.get_metric", broken)
    with pytest.raises(KeyError, match="bug"):
        world.evaluate(world.spec("predictions", ACCURACY))


def test_clusters_become_one_decision(world):
    world.predictions()
    yes, no = (np.flatnonzero(world.labels == name) for name in ("yes", "no"))
    name = {**{i: f"y{k // 5}" for k, i in enumerate(yes)}, **{i: f"n{k // 5}" for k, i in enumerate(no)}}
    write(world.folder / "split" / "clusters.csv", [["id", "video"], *([world.ids[i], name[i]] for i in range(N))])
    result = world.evaluate(world.spec("predictions", ACCURACY, aggregate=AggregateSpec(by="video")))
    assert result.verdict is Verdict.OK, result.message
    assert result.results[0].n == len(set(name.values()))


def test_a_model_goes_through_every_stage(world, serve):
    model = FakeServed()
    seen = serve(model)
    result = world.evaluate(world.spec("model", PGD, ACCURACY, HSJ), engine=FakeEngine())
    assert result.verdict is Verdict.OK, result.message
    assert list(result.stages) == [
        "load", "prepare", "start", "sample", "predict", "metric:performance.accuracy", "metric:pgd", "metric:hsj",
    ]  # fmt: skip
    # Results stand in the competition's order, though cheap metrics were first.
    assert [r.key for r in result.results][:5:4] == ["pgd.robust_accuracy", "performance.accuracy"]
    assert {r.state for r in result.results} == {"ok"}
    truth = (world.x @ W > 0) == (world.labels == "yes")
    assert result.results[4].value == truth.mean()
    assert result.log == "hello\ufffd \ufffd"
    assert result.peak_memory == 12345
    assert model.closed
    assert seen["folder"].joinpath("model.onnx").read_bytes() == b"not looked at here"
    assert seen["deadline"] > 0
    kinds = {(e.kind, e.message) for e in world.events}
    assert ("stage", "predict") in kinds
    shares = [e.data["share"] for e in world.events if e.kind == "progress" and e.data["stage"] == "predict"]
    assert shares[0] == 0
    assert shares[-1] == 1


def test_the_submission_sees_a_random_order_and_sample_first(world, serve):
    model = FakeServed()
    serve(model)
    world.evaluate(world.spec("model", ACCURACY), engine=FakeEngine())
    assert (model.rows[0] == world.x[:10]).all()
    timed = np.concatenate(model.rows[1:5])  # two sizes, twice each, of the sample alone
    assert set(map(tuple, timed.tolist())) == set(map(tuple, world.x[:10].tolist()))
    asked, again = model.rows[5], model.rows[6]  # some are asked twice: is it always the same answer?
    assert set(map(tuple, again.tolist())) < set(map(tuple, world.x.tolist()))
    assert sorted(map(tuple, asked.tolist())) == sorted(map(tuple, world.x.tolist()))
    assert not (asked == world.x).all()


def test_a_death_during_an_attack_keeps_what_was_measured(world, serve):
    serve(model := FakeServed(dies_after=N + 10 + TIMED + 200, access=frozenset({"queries"})))
    result = world.evaluate(world.spec("model", HSJ, ACCURACY), engine=FakeEngine())
    assert result.verdict is Verdict.MEMORY
    assert (result.message, result.hint) == ("needed too much", "use less")
    assert [r.key for r in result.results] == ["performance.accuracy"]
    assert result.log.startswith("hello")
    assert model.closed


def test_a_death_in_the_sample_is_told_before_any_hidden_item_is_asked(world, serve):
    serve(model := FakeServed(dies_after=5))
    result = world.evaluate(world.spec("model", ACCURACY), engine=FakeEngine())
    assert result.verdict is Verdict.MEMORY
    assert "predict" not in result.stages
    assert model.rows == []


def test_a_submission_that_does_not_start_gives_its_log(world, serve):
    fault = ParticipantFault(Verdict.CRASH, "it ended", hint="see log")
    fault.log = b"Traceback"
    serve(fault)
    result = world.evaluate(world.spec("model", ACCURACY), engine=FakeEngine())
    assert (result.verdict, result.log) == (Verdict.CRASH, "Traceback")
    assert "start" in result.stages


def test_white_box_refused_is_not_applicable(world, serve):
    model = FakeServed(access=frozenset({"queries"}))
    model.reasons = {"gradients": "the platform has no weights of it"}
    serve(model)
    result = world.evaluate(world.spec("model", PGD, HSJ), engine=FakeEngine())
    found = {r.key: r for r in result.results}
    assert found["pgd.robust_accuracy"].state == "not_applicable"
    assert "no weights of it" in found["pgd.robust_accuracy"].reason
    assert found["hsj.robust_accuracy"].state == "ok"


def test_code_is_unpacked(world, serve):
    seen = serve(FakeServed(), artifact="code.zip")
    with zipfile.ZipFile(world.folder / "submission" / "code.zip", "w") as archive:
        archive.writestr("main.py", "print()")
    result = world.evaluate(world.spec("code", ACCURACY), engine=FakeEngine())
    assert result.verdict is Verdict.OK, result.message
    assert (seen["folder"] / "main.py").read_text() == "print()"


def test_code_without_main_is_refused(world, serve):
    serve(FakeServed(), artifact="code.zip")
    with zipfile.ZipFile(world.folder / "submission" / "code.zip", "w") as archive:
        archive.writestr("other.py", "")
    result = world.evaluate(world.spec("code", ACCURACY), engine=FakeEngine())
    assert result.verdict is Verdict.INVALID_OUTPUT
    assert "main.py" in result.message


@pytest.mark.parametrize("stays", [False, True])
def test_an_image_that_came_as_an_archive_is_given_back_after_the_model_is_closed(world, serve, stays):
    class Loader(FakeEngine):
        used = ()

        def load_image(self, archive, *, limit):
            return "sha256:1"

        def image_used(self, image):
            assert served.closed
            self.used = (*self.used, image)
            if stays:
                raise RetryableError("the daemon is busy")

    served, engine = FakeServed(), Loader()
    serve(served, artifact="image.tar")
    result = world.evaluate(world.spec("container", ACCURACY), engine=engine)
    assert result.verdict is Verdict.OK, result.message
    assert engine.used == ("sha256:1",)


def test_an_image_that_this_node_lacks_is_not_the_participant_s_fault(world, serve):
    serve(FakeServed())
    spec = world.spec("container", ACCURACY)
    spec = spec.model_copy(update={"submission": SubmissionRef(id="s", kind=SubmissionKind.CONTAINER, image="gone")})
    with pytest.raises(RetryableError, match="holds no image 'gone'") as caught:
        world.evaluate(spec, engine=FakeEngine())
    assert caught.value.code == "image_missing"


def test_without_an_engine_no_foreign_code_runs(world, serve):
    serve(FakeServed())
    with pytest.raises(RetryableError, match="no engine"):
        world.evaluate(world.spec("model", ACCURACY))


@pytest.mark.parametrize("dies_after", [5, 10**9])
def test_the_log_of_an_adopted_submission_is_never_public(world, serve, dies_after):
    """It has met secret inputs for the attempt before, and may end itself when it is asked the sample again."""
    model = FakeServed(dies_after=dies_after)
    model.adopted = True
    serve(model)
    result = world.evaluate(world.spec("model", ACCURACY), engine=FakeEngine())
    assert result.sample_log == ""
    assert "hello" in result.log
