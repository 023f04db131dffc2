"""What each engine's isolation costs: from the start of a sandbox to its end, for programs that do next to nothing."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from bench import bare
from bench.rounds import alternate, ratio, say, summary
from runners.engines.base import Engine, Job, Limits
from runners.engines.bubblewrap import BubblewrapEngine
from runners.engines.docker import BASE_IMAGE, DockerEngine

_ROUNDS, _QUICK_ROUNDS = 25, 3
_LIMITS = Limits(memory=2**30, cpus=1.0, seconds=120.0, tmp=2**26)
_PROGRAMS = {"true": ("true",), "python": ("python3", "-c", "pass"), "numpy": ("python3", "-c", "import numpy")}
_REFERENCE = "docker run --rm"


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds by engine and program, and each over `docker run --rm IMAGE true` of the same round.

    An engine that is not here is named under `missing` with what its self-test said.
    """
    rounds = _QUICK_ROUNDS if quick else _ROUNDS
    engines, missing = _usable()
    cases: dict[str, Callable[[], float]] = {}
    if any(name.startswith("docker") for name in engines):
        cases[_REFERENCE] = partial(bare.true, BASE_IMAGE)
    for program, argv in _PROGRAMS.items():
        cases |= {f"{name} {program}": partial(seconds, engine, argv) for name, engine in engines.items()}
    for case in cases.values():
        case()  # files come into memory
    say(f"{rounds} rounds of {', '.join(cases)}")
    found = alternate(cases, rounds=rounds)
    times = {name: summary(values) for name, values in found.items()}
    reference = found.get(_REFERENCE)
    over = {name: ratio(values, reference) for name, values in found.items()} if reference else {}
    return {"seconds": times, "over_docker_run": over, "missing": missing}


def seconds(engine: Engine, argv: tuple[str, ...]) -> float:
    """Seconds from the request to start a sandbox until it is over and nothing of it is left."""
    began = time.monotonic()
    sandbox = engine.start(Job(run=f"bench-{uuid.uuid4().hex[:12]}", attempt=1, limits=_LIMITS, argv=argv))
    try:
        ended = sandbox.wait(_LIMITS.seconds)
    finally:
        sandbox.close()
    if ended is None or ended.code != 0:
        raise bare.BareError(f"{argv[0]} under {engine.name} ended as {ended}: {sandbox.logs()[-500:]!r}")
    return time.monotonic() - began


def _usable() -> tuple[dict[str, Engine], dict[str, list[str]]]:
    known: dict[str, Engine] = {
        "docker-runc": DockerEngine(runtime=BASE_IMAGE, runtime_name="runc"),
        "docker-runsc": DockerEngine(runtime=BASE_IMAGE, runtime_name="runsc"),
        "bubblewrap": BubblewrapEngine(),
    }
    reports = {name: engine.self_test() for name, engine in known.items()}
    usable = {name: engine for name, engine in known.items() if reports[name].ok}
    return usable, {name: list(report.problems) for name, report in reports.items() if not report.ok}
