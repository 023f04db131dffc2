"""How often the attack-validity report is right: verdicts over many models, networks, data sets and seeds.

`PYTHONPATH=client:platform:. python -m scripts.validity_rates --first 300 --seeds 4`, from a checkout, prints such a
table as docs/validity.md has, and on stderr a line for each model. It trains every network anew: minutes a seed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from runners.measure import measure
from runners.spec.models import TaskSpec
from tests.factories.runner_models import model_context
from tests.factories.validity_models import BROKEN, HONEST, World, digits, garments

WORLDS: dict[str, Callable[[int], World]] = {"garments": garments, "digits": digits}
_TEN = TaskSpec(kind="multiclass", classes=tuple("0123456789"))
_ITEMS = 100
#: Stands in for the truth: what the worst of stronger attacks leaves.
_STRONGER = {
    "attacks": ["pgd", "square"],
    "attack_parameters": {
        "pgd": {"loss": "margin", "steps": 40, "restarts": 1, "bisections": 0},
        "square": {"queries": 500},
    },
}


@dataclass(frozen=True)
class Judged:
    """One model of one seed: what PGD leaves, what stronger attacks leave, and what the report says of PGD's."""

    sort: str
    name: str
    told: float
    stronger: float
    verdict: str


def judge(make: Callable[[World], object], world: World, sort: str, name: str) -> Judged:
    """Train, attack and doubt one model."""
    ctx = model_context(make(world), world.x, world.y, task=_TEN, seed=world.seed)
    common = {"norm": "linf", "eps": world.eps, "items": _ITEMS}
    told = {r.key: r for r in measure("robustness.attack", "r", {"attack": "pgd", **common}, ctx)}["r.robust_accuracy"]
    worst = {
        r.key: r for r in measure("robustness.worst_case", "r", {**_STRONGER, **common, "check_items": 0}, ctx)
    }["r.robust_accuracy"]  # fmt: skip
    if told.value is None or worst.value is None:
        raise RuntimeError(f"{name}: there were no items")
    report = told.details["validity"]
    return Judged(sort, name, told.value, worst.value, str(report["verdict"]) if isinstance(report, dict) else "")


def table(found: Iterable[Judged]) -> str:
    """Markdown, one row a sort of model: how many got which verdict, and by how much their numbers overstate."""
    rows: dict[tuple[str, str], list[Judged]] = {}
    for one in found:
        rows.setdefault((one.sort, one.name), []).append(one)
    lines = [
        "| | model | n | sound | suspect | broken | PGD | stronger |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for (sort, name), same in rows.items():
        count = Counter(one.verdict for one in same)
        told, stronger = (sum(values) / len(same) for values in zip(*((o.told, o.stronger) for o in same), strict=True))
        verdicts = " | ".join(str(count[verdict]) for verdict in ("sound", "suspect", "broken"))
        lines.append(f"| {sort} | {name} | {len(same)} | {verdicts} | {told:.2f} | {stronger:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=300, help="the first seed")
    parser.add_argument("--seeds", type=int, default=4, help="how many seeds of each data set")
    given = parser.parse_args()
    found = []
    for seed in range(given.first, given.first + given.seeds):
        for data, build in WORLDS.items():
            world = build(seed)
            for sort, fleet in (("honest", HONEST), ("broken", BROKEN)):
                for name, make in fleet.items():
                    one = judge(make, world, sort, name)
                    found.append(one)
                    sys.stderr.write(f"{data} {seed}: {one}\n")
    sys.stdout.write(table(found) + "\n")


if __name__ == "__main__":
    main()
