import pytest

from runners.judge import run
from tests.factories.judge_world import World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def serve(monkeypatch, world):
    """Puts a model behind `open_model`, and an artifact where a model submission has it."""

    def use(model, artifact="weights.onnx"):
        seen = {}

        def open_model(engine, **given):
            seen.update(given)
            if isinstance(model, Exception):
                raise model
            return model

        monkeypatch.setattr(run, "open_model", open_model)
        (world.folder / "submission" / artifact).write_bytes(b"not looked at here")
        return seen

    return use
