"""The node fetches the files of a validation split and shows them to the judge, where the run has one."""

import dataclasses

import pytest

from runners.contract import Verdict
from tests.factories.node_attempts import CONTENT, Server, ok


@pytest.mark.parametrize("there", [True, False])
def test_a_validation_split_is_fetched(attempt_of, there: bool) -> None:
    def evaluate(*, spec, files, **_):
        assert (files.validation is not None) == there
        if there:
            assert (files.validation / "labels.csv").read_bytes() == CONTENT
        return ok(spec)

    server = Server()
    attempt = attempt_of(server, evaluate)
    validation = attempt.spec.split.model_copy(update={"name": "held_out"}) if there else None
    spec = attempt.spec.model_copy(update={"validation": validation})
    dataclasses.replace(attempt, spec=spec).perform()

    assert [result.verdict for result in server.results] == [Verdict.OK], server.results[0].message
