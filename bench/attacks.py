"""Attacks: PGD beside its physical limit, and Square, HopSkipJump and AutoAttack beside ART's."""

from __future__ import annotations

from typing import Any

from bench.probe import probe
from bench.rounds import ratio, summary

#: What is run. `share` divides the budgets of AutoAttack; ART's Square asks three times a round.
SIZES: dict[bool, dict[str, dict[str, int]]] = {
    False: {
        "pgd": {"size": 32, "images": 32, "rounds": 7},
        "square": {"items": 300, "art_rounds": 1000, "queries": 1000},
        "hop_skip_jump": {"items": 100, "queries": 2000},
        "autoattack": {"items": 100, "share": 1, "rounds": 3},
    },
    True: {
        "pgd": {"size": 32, "images": 4, "rounds": 2},
        "square": {"items": 40, "art_rounds": 50, "queries": 50},
        "hop_skip_jump": {"items": 10, "queries": 300},
        "autoattack": {"items": 4, "share": 20, "rounds": 1},
    },
}
_WHAT = {
    "pgd": "PGD-20 in linf on a ResNet-18 as `model`, in process, nobody fooled; limit: 20 forward and input-backward "
    "passes of the same network in torch with frozen parameters",
    "square": "images of digits, linf 0.1, a small convolutional network; ART has as many rounds as ours questions",
    "hop_skip_jump": "the same digits and network, l2, the same budget an item for both",
    "autoattack": "the same digits and network, linf 0.1: `autoattack` through the Model interface, pyautoattack on "
    "the bare module, and ART's default ensemble",
}
#: Of which ratio, to what, and what it shall come to.
TARGETS = {
    "pgd": ("seconds", "native", "limit", "at most", 1.15),
    "square": ("queries", "art", "native", "at least", 2.5),
    "hop_skip_jump": ("calls_per_100_items", "art", "native", "at least", 50.0),
    "autoattack": ("seconds", "art", "native", "at least", 5.0),
}
#: What has to be as good for the comparison to count: ours may be better, or worse by no more than this.
_EQUAL = {
    "square": ("robust_accuracy", 0.02),
    "autoattack": ("robust_accuracy", 0.0),
    "hop_skip_jump": ("median_distance", 0.0),
}


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds, questions, round trips and what is left, by attack and implementation; ratios and targets."""
    environment = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    found = probe("bench.attacks_probe", SIZES[quick], environment=environment)
    return {name: _told(name, cases, SIZES[quick][name]) for name, cases in found.items()}


def _told(name: str, cases: dict[str, list[dict[str, float]]], sizes: dict[str, int]) -> dict[str, Any]:
    """Medians by implementation, the ratio that there is a target for, and whether the results are equal enough."""
    if name == "hop_skip_jump":
        cases = {case: [_per_hundred(case, one, sizes["items"]) for one in rounds] for case, rounds in cases.items()}
    told: dict[str, Any] = {"what": _WHAT[name], "sizes": sizes}
    for case, rounds in cases.items():
        told[case] = {key: summary([one[key] for one in rounds]) for key in rounds[0]}
    key, over, under, word, target = TARGETS[name]
    shares = ratio([one[key] for one in cases[over]], [one[key] for one in cases[under]])
    value = float(shares["median"])
    reached = value <= target if word == "at most" else value >= target
    told |= {
        "ratio": shares, "target": f"{key} of {over} to {under}: {word} {target:g}", "reached": reached,
    }  # fmt: skip
    if name in _EQUAL:
        quality, margin = _EQUAL[name]
        ours, theirs = (float(told[case][quality]["median"]) for case in ("native", "art"))
        told["equal"] = ours <= theirs + margin
        told["reached"] = reached and told["equal"]
    return told


def _per_hundred(case: str, one: dict[str, float], items: int) -> dict[str, float]:
    """ART goes item by item; our round trips are the same for any number of items."""
    return one | {"calls_per_100_items": one["calls"] * (100 / items if case == "art" else 1.0)}
