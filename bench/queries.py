"""Black-box queries a second: through the channel of a sandbox, in process, and the floor of HTTP itself."""

from __future__ import annotations

import os
from typing import Any

from bench.probe import probe
from bench.rounds import ratio, say, summary
from scripts.engines import build_images, docker_answers

ENGINES = ("docker", "bubblewrap")
ROUNDS = {False: 9, True: 2}
SECONDS = {False: 0.6, True: 0.15}
_WHAT = {
    "items_12kib": "one item of 3x32x32 float32 a call (12 KiB), a linear model in numpy as `code`",
    "garments_64": "64 images of 1x28x28 float32 a call (196 KiB), the garments CNN as `model`; items, not calls",
}


def measure(*, quick: bool) -> dict[str, Any]:
    """Items a second by workload and way, and each way as a share of the same model in process."""
    built = docker_answers() and build_images(say)
    environment = {
        # One thread on both sides: the sandboxes get one CPU.
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
        # Engines remove what a vanished node of the same name left; no other node has this one.
        "TOUCHSTONE_NODE_NAME": f"bench-queries-{os.getpid()}",
    }  # fmt: skip
    engines = [name for name in ENGINES if built or name != "docker"]
    question = {"engines": engines, "rounds": ROUNDS[quick], "seconds": SECONDS[quick]}
    found = probe("bench.queries_probe", question, environment=environment)
    if not built:
        found["engines"]["docker"] = {"ok": False, "problems": ["no Docker engine answers, or its images do not build"]}
    return {
        "what": "items a second, one call at a time; each way for a moment in turns with the others",
        "engines": found["engines"],
        **{name: _workload(name, found["engines"], found["rates"][name]) for name in _WHAT},
    }


def _workload(name: str, engines: dict[str, Any], rates: dict[str, list[float]]) -> dict[str, Any]:
    told: dict[str, Any] = {"what": _WHAT[name]}
    for way in (*ENGINES, *(way for way in rates if way not in ENGINES)):
        if way in rates:
            told[way] = {"items_per_second": summary(rates[way], digits=0)}
            if way != "in_process":
                told[way]["ratio_to_in_process"] = ratio(rates[way], rates["in_process"])
            if way in ENGINES and "http_echo" in rates:
                told[way]["ratio_to_http_echo"] = ratio(rates[way], rates["http_echo"])
        else:
            told[way] = None
            told[f"{way}_reason"] = "; ".join(engines[way]["problems"]) or "its self-test did not pass"
    return told
