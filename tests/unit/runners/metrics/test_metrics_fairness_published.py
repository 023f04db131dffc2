"""Published numbers: ProPublica's COMPAS table, base rates of Adult and German credit, a deepfake detector."""

import json
from pathlib import Path

import numpy as np
import pytest

from runners.measure import measure
from runners.metrics.fairness import reject_option
from runners.metrics.fairness.mitigation import worse_cells
from runners.spec.models import AttributeSpec
from tests.factories.runner_models import binary_task, context, group_context

TPR, FPR = "fairness.equal_opportunity_difference", "fairness.false_positive_rate_difference"


def only(name, ctx, **parameters):
    (result,) = measure(name, name, {"attribute": "a", **parameters}, ctx)
    return result


def rows(groups):
    """Items of counts TN, FP, FN, TP for each group."""
    columns = [], [], []
    for group, four in groups.items():
        for (y, yhat), n in zip(((0, 0), (0, 1), (1, 0), (1, 1)), four, strict=True):
            for column, value in zip(columns, (y, yhat, group), strict=True):
                column += [value] * n
    return columns


def test_published_gaps_of_compas_are_about_the_positive_class():
    """7214 people, score other than Low: ProPublica's table, whose positive class is the unfavourable one."""
    y, yhat, race = rows({"African-American": (990, 805, 532, 1369), "Caucasian": (1139, 349, 461, 505)})
    ctx = context(
        y, yhat, task=binary_task(favourable="no"), attributes={"a": np.array(race, dtype=object)},
        attribute_specs={"a": AttributeSpec(privileged="Caucasian")},
    )  # fmt: skip
    assert only("fairness.statistical_parity_difference", ctx).value == pytest.approx(-0.240200, abs=5e-7)
    gaps = {about: only(FPR, ctx, about=about) for about in ("positive", "favourable")}
    assert gaps["positive"].value == pytest.approx(0.213925, abs=5e-7)
    assert gaps["positive"].details["positive"] == "yes"
    assert only("fairness.true_positive_rate_difference", ctx, about="positive").value == pytest.approx(
        0.197373, abs=5e-7
    )
    # About the favourable outcome a false positive is a false negative of the other class.
    assert gaps["favourable"].value == pytest.approx(-0.197373, abs=5e-7)
    assert gaps["favourable"].details["favourable"] == "no"
    ppv = {r.key: r.value for r in measure("fairness.positive_predictive_value", "ppv", {"attribute": "a"}, ctx)}
    assert {key: round(100 * value, 2) for key, value in ppv.items()} == {
        "ppv[a=African-American]": 62.97,
        "ppv[a=Caucasian]": 59.13,
    }


@pytest.mark.parametrize(
    ("unprivileged", "privileged", "difference", "ratio"),
    [
        # Adult, 48 842 people: (not favourable, favourable) of women and men, as published by UCI.
        ((14423, 1769), (22732, 9918), -0.194516, 0.359655),
        # German credit, 1000 people: women and men, then those up to 25 years and those above.
        ((109, 201), (191, 499), -0.074801, 0.896567),
        ((80, 110), (220, 590), -0.149448, 0.794826),
    ],
)
def test_published_base_rates_are_reproduced(unprivileged, privileged, difference, ratio):
    counts = np.array([[[no, 0], [0, yes]] for no, yes in (unprivileged, privileged)])
    ctx = group_context(counts)
    assert only("fairness.base_rate_difference", ctx).value == pytest.approx(difference, abs=5e-7)
    assert only("fairness.base_rate_ratio", ctx).value == pytest.approx(ratio, abs=5e-7)


CASES = Path(__file__).resolve().parents[3] / "fixtures" / "replay" / "ffpp" / "cases.json"


@pytest.mark.parametrize("attribute", json.loads(CASES.read_text())["attributes"])
def test_published_detector_is_replayed_to_each_printed_digit(attribute):
    case = json.loads(CASES.read_text())["attributes"][attribute]
    sides = [case[side] for side in ("unprivileged", "privileged")]
    ctx = group_context(np.array([[[c["tn"], c["fp"]], [c["fn"], c["tp"]]] for c in sides]))
    names = {
        "spd": "fairness.statistical_parity_difference", "di": "fairness.disparate_impact",
        "aod": "fairness.average_odds_difference", "eod": TPR,
    }  # fmt: skip
    found = {key: only(name, ctx) for key, name in names.items()}
    printed = dict(case["printed"])
    (balanced,) = measure("performance.balanced_accuracy", "ba", {}, ctx)
    assert balanced.value == pytest.approx(printed.pop("balanced_accuracy"), abs=0.0004)
    assert {key: round(result.value, 2) for key, result in found.items()} == printed
    # The gap of false positive rates that the printed four imply and do not show.
    implied = 2 * found["aod"].value - found["eod"].value
    assert only(FPR, ctx).value == pytest.approx(implied, abs=1e-12)


def test_a_group_at_chance_shows_beside_the_differences():
    """Age in that table: no printed difference says that the detector is hardly better than chance for one side."""
    case = json.loads(CASES.read_text())["attributes"]["age"]
    sides = [case[side] for side in ("unprivileged", "privileged")]
    ctx = group_context(np.array([[[c["tn"], c["fp"]], [c["fn"], c["tp"]]] for c in sides]))
    told = only(FPR, ctx)
    assert told.value == pytest.approx(0.63, abs=0.005)
    assert told.details["unprivileged"]["fpr"] > 0.615
    assert told.details["unprivileged"]["balanced_accuracy"] == pytest.approx(0.5, abs=0.01)
    assert told.details["privileged"]["balanced_accuracy"] > 0.75


def test_published_thresholds_lie_on_the_grid():
    """All ten thresholds that a published mitigation reports, to the three digits it prints."""
    thresholds = np.unique(reject_option.grid()[0])
    assert thresholds.size == 100
    printed = (0.109, 0.347, 0.079, 0.059, 0.950, 0.158, 0.376, 0.931, 0.743, 0.653)
    assert set(printed) <= set(thresholds.round(3).tolist())
    t, m = reject_option.grid()
    assert m.size == 5000
    assert (m <= np.minimum(t, 1 - t) + 1e-12).all()
    assert m.max() == pytest.approx(0.5, abs=0.005)


#: Printed before and after reject option classification: SPD, DI, AOD, EOD of each attribute of two data sets.
FFPP = {
    "race": ((0.07, 1.13, 0.05, 0.10), (0.03, 1.03, 0.01, 0.04)),
    "gender": ((-0.12, 0.80, -0.15, -0.08), (0.02, 1.02, -0.04, 0.08)),
    "age": ((0.15, 1.33, 0.33, 0.03), (-0.03, 0.96, -0.05, -0.02)),
    "attractive": ((0.29, 1.72, 0.28, 0.29), (0.02, 1.02, -0.06, 0.07)),
    "shiny skin": ((0.55, 2.82, 0.55, 0.51), (0.25, 18.85, 0.14, 0.29)),
    "beard": ((0.28, 1.56, 0.37, 0.26), (0.10, 1.13, 0.13, 0.16)),
    "face": ((-0.20, 0.67, -0.20, -0.22), (0.19, 1.34, 0.17, 0.18)),
    "accessory": ((0.15, 1.35, 0.11, 0.15), (0.08, 2.00, 0.05, 0.09)),
}


CELEB = {
    "gender": ((-0.19, 0.77, 0.01, -0.03), (-0.09, 0.82, 0.07, 0.07)),
    "attractive": ((0.19, 1.28, 0.12, 0.11), (0.13, 1.23, 0.03, -0.01)),
    "beard": ((-0.23, 0.68, -0.22, -0.10), (-0.28, 0.52, -0.24, -0.27)),
    "accessory": ((0.20, 1.42, 0.09, 0.12), (0.18, 1.51, 0.07, 0.14)),
}


def test_published_mitigation_made_cells_worse():
    """2 of 32 on the one data set and 8 of 16 on the other, in tables that are read as a success."""
    cells = {}
    for name, rows in (("ffpp", FFPP), ("celeb", CELEB)):
        for attribute, (before, after) in rows.items():
            keys = ("spd", "di", "aod", "eod")
            worse, compared = worse_cells(dict(zip(keys, before, strict=True)), dict(zip(keys, after, strict=True)))
            assert compared == 4
            cells[name, attribute] = worse
    assert {key[1]: worse for key, worse in cells.items() if key[0] == "ffpp" and worse} == {
        "shiny skin": ["di"],
        "accessory": ["di"],
    }
    assert {key[1]: sorted(worse) for key, worse in cells.items() if key[0] == "celeb" and worse} == {
        "gender": ["aod", "eod"],
        "beard": ["aod", "di", "eod", "spd"],
        "accessory": ["di", "eod"],
    }


def test_what_is_no_longer_defined_has_become_worse():
    before = {"spd": 0.1, "di": 0.9, "eod": None, "aod": None}
    worse, compared = worse_cells(before, {"spd": -0.1, "di": None, "eod": 0.3, "aod": None})
    assert (worse, compared) == (["di"], 2)
    assert worse_cells({"di": 0.5}, {"di": 2.0}) == ([], 1)
    assert worse_cells({"di": 0.5}, {"di": 0.0}) == (["di"], 1)
