"""A pushed image is pulled for its run, and whose fault it is where that fails."""

from __future__ import annotations

import pytest

from runners.contract import ImagePull, SubmissionRef, Verdict
from runners.errors import RetryableError, UserError
from runners.spec.models import SubmissionKind
from tests.factories.judge_world import ACCURACY, FakeEngine, FakeServed

PULL = ImagePull(reference=f"registry.test/c/alice/m@sha256:{'a' * 64}", username="node", password="key")


class Puller(FakeEngine):
    """Pulls, or fails as told."""

    def __init__(self, failure: Exception | None = None):
        super().__init__()
        self.failure, self.pulled, self.used = failure, [], []

    def pull_image(self, pull, *, limit):
        self.pulled.append((pull, limit))
        if self.failure is not None:
            raise self.failure
        return "sha256:1"

    def image_used(self, image):
        self.used.append(image)


def _spec(world, metrics):
    spec = world.spec("container", metrics)
    named = SubmissionRef(id="s", kind=SubmissionKind.CONTAINER, image=PULL.reference, pull=PULL)
    return spec.model_copy(update={"submission": named})


def test_it_is_pulled_and_given_back(world, serve):
    serve(FakeServed())
    engine, spec = Puller(), _spec(world, ACCURACY)

    result = world.evaluate(spec, engine=engine)

    assert result.verdict is Verdict.OK, result.message
    assert engine.pulled == [(PULL, spec.resources.image)]
    assert engine.used == ["sha256:1"]


def test_what_the_engine_refuses_is_the_participants(world, serve):
    serve(FakeServed())
    engine = Puller(UserError("too large", hint="smaller", code="image_too_large"))

    result = world.evaluate(_spec(world, ACCURACY), engine=engine)

    assert (result.verdict, result.code, result.hint) == (Verdict.INVALID_OUTPUT, "image_too_large", "smaller")


def test_a_registry_that_fails_is_ours(world, serve):
    serve(FakeServed())

    with pytest.raises(RetryableError, match="registry is away"):
        world.evaluate(_spec(world, ACCURACY), engine=Puller(RetryableError("registry is away", code="image_pull")))
