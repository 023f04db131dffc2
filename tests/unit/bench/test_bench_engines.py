"""The part of the benchmark that times engines, with engines that are none."""

from __future__ import annotations

from typing import Any

import pytest

from bench import engines
from bench.bare import BareError
from runners.engines.base import Exit


class Sandbox:
    def __init__(self, ended: Exit | None) -> None:
        self.ended, self.closed = ended, False

    def wait(self, seconds: float) -> Exit | None:
        return self.ended

    def logs(self) -> bytes:
        return b"the log"

    def close(self) -> None:
        self.closed = True


class Engine:
    name = "fake"

    def __init__(self, ended: Exit | None = Exit(0)) -> None:  # noqa: B008 - frozen
        self.ended, self.sandboxes = ended, []

    def start(self, job: Any) -> Sandbox:
        self.sandboxes.append(Sandbox(self.ended))
        return self.sandboxes[-1]


def test_every_program_is_timed_on_every_engine_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"docker-runc": Engine(), "bubblewrap": Engine()}
    monkeypatch.setattr(engines, "_usable", lambda: (made, {"docker-runsc": ["no runtime"]}))
    monkeypatch.setattr(engines.bare, "true", lambda image: 2.0)
    found = engines.measure(quick=True)
    assert set(found["seconds"]) == {
        "docker run --rm", *(f"{name} {program}" for name in made for program in ("true", "python", "numpy")),
    }  # fmt: skip
    assert found["seconds"]["bubblewrap true"]["n"] == 3
    assert found["over_docker_run"]["docker run --rm"]["median"] == 1.0
    assert found["missing"] == {"docker-runsc": ["no runtime"]}
    for engine in made.values():
        assert len(engine.sandboxes) == 3 * (3 + 1)  # once before, so that files come into memory
        assert all(sandbox.closed for sandbox in engine.sandboxes)


@pytest.mark.parametrize("ended", [Exit(1), None])
def test_a_program_that_fails_is_no_measurement(ended: Exit | None) -> None:
    engine = Engine(ended)
    with pytest.raises(BareError, match="the log"):
        engines.seconds(engine, ("true",))
    assert engine.sandboxes[0].closed
