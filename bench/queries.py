"""Black-box queries: through the channel of a sandbox, in process, and the floor of HTTP itself."""

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
    "query_12kib": "one question of 3x32x32 float32 (12 KiB), until its answer is a checked array; no model",
    "items_12kib": "one item of 3x32x32 float32 a call (12 KiB), a linear model in numpy as `code`",
    "garments_64": "64 images of 1x28x28 float32 a call (196 KiB), the garments CNN as `model`; items, not calls",
    "resnet18_64": "64 images of 3x64x64 float32 a call (3 MiB), a ResNet-18 as `model`; in process: onnxruntime",
}
#: What these shall come to, as medians of the ratio of each round.
TARGETS = {
    "query_12kib": ("ratio_to_http_echo", "at most", 2.0),
    "resnet18_64": ("ratio_to_in_process", "at least", 0.9),
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
        "what": "one call at a time; each way for a moment in turns with the others",
        "engines": found["engines"],
        "query_12kib": _query(found["engines"], found["rates"]["query_12kib"]),
        **{name: _workload(name, found["engines"], found["rates"][name]) for name in _WHAT if name != "query_12kib"},
    }


def _query(engines: dict[str, Any], seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Medians of single questions; each way's as a multiple of the echo's of the same round."""
    told: dict[str, Any] = {"what": _WHAT["query_12kib"]}
    for way in (*ENGINES, "http_echo"):
        if way not in seconds:
            told |= _missing(way, engines)
            continue
        told[way] = {"microseconds": summary([value * 1e6 for value in seconds[way]], digits=1)}
        if way != "http_echo":
            told[way]["ratio_to_http_echo"] = ratio(seconds[way], seconds["http_echo"])
    return told | _judged("query_12kib", told)


def _missing(way: str, engines: dict[str, Any]) -> dict[str, Any]:
    return {way: None, f"{way}_reason": "; ".join(engines[way]["problems"]) or "its self-test did not pass"}


def _judged(name: str, told: dict[str, Any]) -> dict[str, Any]:
    """Whether each sandbox reaches the workload's target."""
    if name not in TARGETS:
        return {}
    key, word, target = TARGETS[name]
    values = {way: told[way][key]["median"] for way in ENGINES if told.get(way)}
    reached = {way: value <= target if word == "at most" else value >= target for way, value in values.items()}
    return {"target": f"{key} {word} {target:g}", "reached": reached}


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
            told |= _missing(way, engines)
    return told | _judged(name, told)
