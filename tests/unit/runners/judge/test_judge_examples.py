"""Examples against surrogates: made before the submission starts, kept by the node, and whose fault a failure is."""

import hashlib

import numpy as np
import pytest

from runners import example_store
from runners.contract import FileRef, SurrogateRef, Verdict
from runners.errors import ParticipantFault, RetryableError
from runners.example_store import ExampleStore
from runners.judge import LocalFiles, Place, evaluate, examples
from tests.factories.judge_world import ACCURACY, FakeEngine, FakeServed, W
from tests.factories.runner_models import NetModel

TRANSFER = {"use": "robustness.transfer", "as": "t", "surrogates": ["near"], "attack": "pgd", "eps": 0.2}
HIDDEN = {"name": "test", "visibility": "hidden", "digest": "d" * 64, "files": ()}


class Source(NetModel):
    """A surrogate as `open_model` gives it."""

    def __init__(self, weights, access=frozenset({"queries", "gradients"})):
        super().__init__([np.column_stack([0 * weights, weights])], [np.zeros(2)], access=access)
        self.reasons = {} if "gradients" in access else {"gradients": "an operator is missing"}
        self.closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True


def ref(name="near", **more):
    return SurrogateRef(
        name=name, file=FileRef(name=f"{name}.onnx", sha256=name[0].encode().hex() * 32, size=1), **more
    )


@pytest.fixture
def judged(world, serve, monkeypatch):
    """Evaluates with surrogates that are models of this process; keeps which were opened, and when."""
    (world.folder / "surrogates").mkdir()
    told = []

    def run(metrics, refs, models, *, store=None, digest="d" * 64, target=None, kind="model"):
        target = target or FakeServed()
        opened = serve(target)
        told.clear()

        def open_source(engine, *, folder, **given):
            told.append((folder.name, bool(opened), (folder / "model.onnx").read_bytes(), given["lasting"]))
            assert given["part"] == "surrogate"  # else it takes the name, and the place, of the submission's sandbox
            found = models[folder.name]
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(examples, "open_model", lambda engine, **given: open_source(engine, lasting=None, **given))
        for known in refs:
            (world.folder / "surrogates" / known.file.name).write_bytes(known.name.encode())
        spec = world.spec(kind, *metrics, surrogates=tuple(refs))
        spec = spec.model_copy(update={"split": spec.split.model_copy(update={"digest": digest})})
        files = LocalFiles(
            split=world.folder / "split", sample=world.folder / "sample", submission=world.folder / "submission",
            surrogates=world.folder / "surrogates",
        )  # fmt: skip
        result = evaluate(
            spec=spec, files=files, engine=FakeEngine(), workdir=world.folder / "work", emit=world.events.append,
            place=Place(examples=store),
        )  # fmt: skip
        return result, {r.key: r for r in result.results}, list(told)

    return run


def test_surrogates_are_asked_before_the_submission_starts(judged, world):
    source = Source(W)
    result, found, told = judged([ACCURACY, TRANSFER], [ref()], {"near": source})
    assert result.verdict is Verdict.OK, result.message
    assert list(result.stages)[:4] == ["load", "surrogates", "prepare", "start"]
    assert told == [("near", False, b"near", None)]
    assert source.closed
    y = (world.labels == "yes").astype(int)
    # Items and model lie on opposite sides only as far as the budget moves w·x, and never beyond [-1, 1].
    far = np.clip(world.x - 0.2 * np.where(y == 1, 1, -1)[:, None] * np.sign(W), -1, 1)
    assert found["t.accuracy[source=near]"].value == pytest.approx(((far @ W > 0) == y).mean(), abs=1e-12)
    assert found["t.accuracy[source=near]"].value == found["t.source_accuracy[source=near]"].value
    assert found["t.transfer_rate[source=near]"].value == 1.0


def test_the_second_run_takes_what_the_first_made(judged, tmp_path):
    store = ExampleStore(tmp_path / "store", limit=10**7)
    _first, a, told = judged([TRANSFER], [ref()], {"near": Source(W)}, store=store)
    assert len(told) == 1
    _second, b, told = judged([TRANSFER], [ref()], {}, store=store)
    assert told == []
    assert [(k, r.value, r.low) for k, r in a.items()] == [(k, r.value, r.low) for k, r in b.items()]
    # Another budget, another split and another file are made anew.
    for change in ({"eps": 0.1}, {"draw": 1}):
        assert len(judged([{**TRANSFER, **change}], [ref()], {"near": Source(W)}, store=store)[2]) == 1
    assert len(judged([TRANSFER], [ref()], {"near": Source(W)}, store=store, digest="e" * 64)[2]) == 1
    other = ref().model_copy(update={"file": FileRef(name="near.onnx", sha256="f" * 64, size=1)})
    assert len(judged([TRANSFER], [other], {"near": Source(W)}, store=store)[2]) == 1


def test_a_split_without_a_digest_is_never_kept(judged, tmp_path):
    store = ExampleStore(tmp_path / "store", limit=10**7)
    for _ in range(2):
        assert len(judged([TRANSFER], [ref()], {"near": Source(W)}, store=store, digest="")[2]) == 1


def test_a_model_is_opened_once_for_several_metrics(judged):
    twice = [TRANSFER, {**TRANSFER, "as": "u", "eps": 0.1}, {**TRANSFER, "as": "v"}]
    _, found, told = judged(twice, [ref()], {"near": Source(W)})
    assert len(told) == 1
    assert found["t.worst_case"].value == found["v.worst_case"].value < found["u.worst_case"].value


@pytest.mark.parametrize("fault", ["open", "ask"])
def test_a_surrogate_that_fails_is_the_organisers_fault(judged, fault):
    gone = ParticipantFault(Verdict.CRASH, "it ended", hint="mend it")
    source = Source(W)
    source.predict = lambda x: (_ for _ in ()).throw(gone)
    result, _, _ = judged([ACCURACY, TRANSFER], [ref()], {"near": gone if fault == "open" else source})
    assert result.verdict is Verdict.SCORER
    assert "the surrogate near failed: it ended" in result.message


def test_one_that_is_not_required_costs_its_own_results_only(judged):
    gone = ParticipantFault(Verdict.CRASH, "it ended")
    both = {**TRANSFER, "surrogates": ["near", "other"]}
    result, found, _ = judged([both], [ref(), ref("other", required=False)], {"near": Source(W), "other": gone})
    assert result.verdict is Verdict.OK
    assert found["t.accuracy[source=near]"].state == "ok"
    assert found["t.accuracy[source=other]"].state == "failed"
    assert "it ended" in found["t.accuracy[source=other]"].reason
    assert found["t.worst_case"].state == "failed"


def test_an_engine_that_fails_is_tried_again(judged):
    with pytest.raises(RetryableError):
        judged([TRANSFER], [ref()], {"near": RetryableError("no room")})


def test_white_box_attacks_are_for_surrogates_with_gradients(judged):
    blind = Source(W, access=frozenset({"queries"}))
    result, _, _ = judged([TRANSFER], [ref()], {"near": blind})
    assert result.verdict is Verdict.SCORER
    assert "needs gradients" in result.message
    assert "an operator is missing" in result.message
    _, found, _ = judged([TRANSFER], [ref(required=False)], {"near": blind})
    assert found["t.accuracy[source=near]"].state == "not_applicable"
    square = {**TRANSFER, "attack": "square", "queries": 100}
    result, found, _ = judged([square], [ref()], {"near": blind})
    assert result.verdict is Verdict.OK, result.message
    assert found["t.source_accuracy[source=near]"].value < 1


def test_a_surrogate_that_nobody_declared(judged):
    result, _, told = judged([{**TRANSFER, "surrogates": ["far"]}], [ref()], {})
    assert (result.verdict, told) == (Verdict.SCORER, [])
    assert "no surrogate 'far'" in result.message


def test_nothing_is_made_where_no_metric_asks_for_it(judged):
    result, _, told = judged([ACCURACY], [ref()], {})
    assert (result.verdict, told) == (Verdict.OK, [])


def test_a_store_keeps_to_its_limit_and_trusts_no_damaged_file(tmp_path):
    made = examples.Examples(
        chosen=np.arange(3), x=np.ones((3, 2), np.float32), correct=np.ones(3, bool), wrong=np.zeros(3, bool),
        queries=7, seconds=0.5,
    )  # fmt: skip
    store = ExampleStore(tmp_path, limit=10**6)
    store.put("aa11", made)
    (path,) = tmp_path.glob("??/*")
    again = store.get("aa11")
    assert again is not None
    assert (again.x == made.x).all()
    assert again.x.dtype == np.float32
    assert (again.queries, again.seconds, again.chosen.tolist()) == (7, 0.5, [0, 1, 2])
    content = path.read_bytes()
    store.put("bb22", made)
    assert (tmp_path / "bb" / "bb22.npz").read_bytes() == content
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert store.get("aa11") is None
    assert not path.exists()
    small = ExampleStore(tmp_path, limit=int(1.5 * len(content)))
    small.put("cc33", made)
    assert (small.get("bb22"), small.get("cc33") is None) == (None, False)
    ExampleStore(tmp_path / "none", limit=10).put("dd44", made)
    assert not (tmp_path / "none").exists()


def test_a_file_that_another_run_removes_meanwhile_is_read_all_the_same(tmp_path, monkeypatch):
    made = examples.Examples(
        chosen=np.arange(3), x=np.ones((3, 2), np.float32), correct=np.ones(3, bool), wrong=np.zeros(3, bool),
        queries=7, seconds=0.5,
    )  # fmt: skip
    store = ExampleStore(tmp_path, limit=10**6)
    store.put("aa11", made)
    (path,) = tmp_path.glob("??/*")
    monkeypatch.setattr(example_store, "hashlib", Removing(path))
    found = store.get("aa11")
    assert not path.exists()
    assert found is not None
    assert found.queries == 7


class Removing:
    """`hashlib`, by whose use the file goes."""

    def __init__(self, path):
        self.path = path

    def sha256(self, content):
        self.path.unlink(missing_ok=True)
        return hashlib.sha256(content)


def test_another_source_of_an_attack_is_another_maker(tmp_path):
    (tmp_path / "attacks").mkdir()
    for text in ("a", "b"):
        (tmp_path / "attacks" / "pgd.py").write_text(text)
        example_store.source_digest.cache_clear()
        assert example_store.source_digest(tmp_path) != example_store.source_digest(tmp_path / "attacks")
    first = example_store.source_digest(tmp_path)
    (tmp_path / "attacks" / "pgd.py").write_text("a")
    example_store.source_digest.cache_clear()
    assert example_store.source_digest(tmp_path) != first


def test_keys_tell_the_source_apart(monkeypatch):
    key = example_store.content_key(order="1")
    assert key == example_store.content_key(order="1") != example_store.content_key(order="2")
    monkeypatch.setattr(example_store, "source_digest", lambda _root: "another")
    assert example_store.content_key(order="1") != key
