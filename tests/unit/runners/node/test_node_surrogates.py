"""The node fetches surrogate models and shows them to the judge, with the examples it keeps, where the run has some."""

import dataclasses

import pytest

from runners.contract import SurrogateRef, Verdict
from runners.example_store import ExampleStore
from tests.factories.node_attempts import CONTENT, Server, ok


@pytest.mark.parametrize("there", [True, False])
def test_surrogates_are_fetched(attempt_of, tmp_path, there: bool) -> None:
    store = ExampleStore(tmp_path / "examples", limit=1)

    def evaluate(*, spec, files, place, **_):
        assert (files.surrogates is not None) == there
        assert place.examples == store
        if there:
            assert (files.surrogates / "near.onnx").read_bytes() == CONTENT
        return ok(spec)

    server = Server()
    attempt = attempt_of(server, evaluate)
    file = attempt.spec.split.files[0].model_copy(update={"name": "near.onnx"})
    refs = (SurrogateRef(name="near", file=file),) if there else ()
    spec = attempt.spec.model_copy(update={"surrogates": refs})
    dataclasses.replace(attempt, spec=spec, examples=store).perform()

    assert [result.verdict for result in server.results] == [Verdict.OK], server.results[0].message
