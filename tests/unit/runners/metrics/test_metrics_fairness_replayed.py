"""A published mitigation, replayed: the tables before and after, and the rule with the threshold it reports."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from runners.measure import measure
from runners.metrics.fairness import reject_option
from runners.metrics.fairness.mitigation import Rule, items_of, report
from runners.spec.models import AttributeSpec
from tests.factories.runner_models import binary_task, context

CASES = Path(__file__).resolve().parents[3] / "fixtures" / "replay" / "mitigation" / "cases.json"
DATA = json.loads(CASES.read_text())["data"]
ROWS = [(name, attribute) for name, attributes in DATA.items() for attribute in attributes]
NAMES = {
    "spd": "fairness.statistical_parity_difference", "di": "fairness.disparate_impact",
    "aod": "fairness.average_odds_difference", "eod": "fairness.equal_opportunity_difference",
}  # fmt: skip
SIDES = {"unprivileged": "u", "privileged": "p", "unknown": None}
#: Printed balanced accuracy lost to the mitigation.
COSTS = {
    ("ffpp", "race"): 0.148, ("ffpp", "gender"): 0.047, ("ffpp", "age"): 0.147, ("ffpp", "attractive"): 0.170,
    ("ffpp", "shiny_skin"): 0.131, ("ffpp", "beard"): 0.078, ("ffpp", "face"): 0.002, ("ffpp", "accessory"): 0.103,
    ("celeb", "gender"): 0.067, ("celeb", "attractive"): 0.019, ("celeb", "beard"): 0.022,
    ("celeb", "accessory"): 0.019,
}  # fmt: skip


def items(case, scores):
    """A context of the counts; `scores(side, y, yhat, n)` gives the scores of the n items of a cell."""
    columns = {"y": [], "yhat": [], "a": [], "s": []}
    for side in sorted(case.keys() & SIDES):
        for (y, yhat), key in zip(((0, 0), (0, 1), (1, 0), (1, 1)), ("tn", "fp", "fn", "tp"), strict=True):
            n = case[side][key]
            columns["y"] += [y] * n
            columns["yhat"] += [yhat] * n
            columns["a"] += [SIDES[side]] * n
            columns["s"] += scores(side, y, yhat, n)
    s = np.array(columns["s"])
    return context(
        columns["y"], columns["yhat"], task=binary_task(favourable="yes"), probabilities=np.column_stack([1 - s, s]),
        attributes={"a": np.array(columns["a"], dtype=object)}, attribute_specs={"a": AttributeSpec(privileged="p")},
    )  # fmt: skip


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("name", "attribute"), ROWS)
def test_each_printed_digit_is_met(name, attribute, when):
    case = DATA[name][attribute][when]
    ctx = items(case, lambda side, y, yhat, n: [0.25 + 0.5 * yhat] * n)
    printed = dict(case["printed"])
    (balanced,) = measure("performance.balanced_accuracy", "ba", {}, ctx)
    assert balanced.value == pytest.approx(printed.pop("balanced_accuracy"), abs=0.0004)
    found = {key: next(iter(measure(metric, "x", {"attribute": "a"}, ctx))) for key, metric in NAMES.items()}
    assert {key: round(result.value, 2) for key, result in found.items()} == printed
    assert all(result.low < result.value < result.high for result in found.values())


def cuts(threshold, margin):
    return {"unprivileged": threshold - margin, "privileged": threshold + margin, "unknown": threshold}


def called(case, side, y):
    """How many items of a side with true outcome y are called fake."""
    return case[side]["tp" if y else "fp"]


def rule_of(row):
    """The printed threshold on the grid, with the first margin whose cuts move each side's calls the way they moved."""
    moves = {
        side: {np.sign(called(row["after"], side, y) - called(row["before"], side, y)) for y in (0, 1)} - {0}
        for side in row["before"].keys() & SIDES
    }
    assert all(len(signs) == 1 for signs in moves.values())
    for threshold, margin in zip(*reject_option.grid(), strict=True):
        if round(threshold, 3) == row["threshold"]:
            at = cuts(threshold, margin)
            if all(np.sign(0.5 - at[side]) in signs for side, signs in moves.items()):
                return threshold, margin
    raise AssertionError("no margin fits")


@functools.cache
def replayed(name, attribute):
    """The report of the rule on scores that give the table before when cut at one half."""
    row = DATA[name][attribute]
    threshold, margin = rule_of(row)
    at = cuts(threshold, margin)

    def scores(side, y, yhat, n):
        before, after = called(row["before"], side, y), called(row["after"], side, y)
        # Those between the two cuts are called by one of them only.
        between, keep = (0.5 + at[side]) / 2, 0.0 if yhat == 0 else 1.0
        crossing = max(0, after - before) if yhat == 0 else max(0, before - after)
        return [between] * crossing + [keep] * (n - crossing)

    ctx = items(row["before"], scores)
    applied = items_of(ctx, "a")
    rule = Rule(reject_option.decide(applied, threshold, margin), np.array([[0.0, 1.0]] * 3))
    return report(ctx, "a", applied, rule, "spd", {})


@pytest.mark.parametrize(("name", "attribute"), ROWS)
def test_the_rule_with_its_printed_threshold_turns_one_table_into_the_other(name, attribute):
    row, found = DATA[name][attribute], replayed(name, attribute)
    for when in ("before", "after"):
        told = {key: round(value, 2) for key, value in found["[a]"].details[when].items() if key in NAMES}
        assert told == {key: row[when]["printed"][key] for key in NAMES}
    assert found["balanced_accuracy[a]"].value == pytest.approx(row["after"]["printed"]["balanced_accuracy"], abs=4e-4)
    assert found["cost[a]"].value == pytest.approx(COSTS[name, attribute], abs=0.0009)


def test_cells_made_worse_are_counted_as_published():
    """8 of 16 cells on the one data set and 2 of 32 on the other, in tables that are read as a success."""
    worse = {row: replayed(*row)["worse[a]"] for row in ROWS}
    assert {name: sum(int(w.n) for row, w in worse.items() if row[0] == name) for name in DATA} == {
        "ffpp": 32, "celeb": 16,
    }  # fmt: skip
    assert {name: sum(w.value for row, w in worse.items() if row[0] == name) for name in DATA} == {
        "ffpp": 2.0, "celeb": 8.0,
    }  # fmt: skip
