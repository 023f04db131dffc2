"""From results to one number."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.spec.catalogue_file import Column, Offer
from runners.spec.models import CompetitionSpec, LeaderboardSpec, UtilitySpec
from tests.factories.server import metric, spec_dict
from touchstone.leaderboards.formatting import decimals_for, number
from touchstone.leaderboards.ranking import anchor, columns_offered, rank, signed, trust

ACC, LOSS, SPD, DI = (
    "performance.accuracy", "performance.log_loss", "fairness.statistical_parity_difference[sex]",
    "fairness.disparate_impact[sex]",
)  # fmt: skip
OFFER = Offer(
    exact={
        ACC: Column(ACC, "maximise", (0.0, 1.0)),
        LOSS: Column(LOSS, "minimise", (0.0, None)),
        SPD: Column("fairness.statistical_parity_difference", "zero", (-1.0, 1.0)),
        DI: Column("fairness.disparate_impact", "one", (0.0, None)),
    }
)


def board(**fields) -> LeaderboardSpec:
    return LeaderboardSpec.model_validate({"slug": "b", "rank_by": ACC} | fields)


def results(**values):
    named = {"acc": ACC, "loss": LOSS, "spd": SPD, "di": DI}
    direction = {ACC: "maximise", LOSS: "minimise", SPD: "zero", DI: "one"}
    made = [
        value if not isinstance(value, float | None) else metric(named[name], value, direction=direction[named[name]])
        for name, value in values.items()
    ]
    return {m.key: m for m in made}


@pytest.mark.parametrize(
    ("value", "direction", "key"),
    [
        (0.8, "maximise", 0.8),
        (0.8, "minimise", -0.8),
        (-0.1, "zero", -0.1),
        (0.1, "zero", -0.1),
        (2.0, "one", -math.log(2)),
        (0.5, "one", -math.log(2)),
        (1.0, "one", 0.0),
        (0.0, "one", -math.inf),
        (1.0, "none", None),
    ],
)
def test_bigger_is_better_in_every_direction(value, direction, key) -> None:
    assert signed(value, direction) == key


def test_what_cannot_be_ranked_says_why() -> None:
    none = metric(ACC, None, state="not_applicable", reason="white-box only")

    assert rank(board=board(), results=results(acc=0.7), offer=OFFER).sort_key == 0.7
    for given_, reason in (
        (results(loss=0.5), f"{ACC} was not computed"),
        (results(acc=none), f"{ACC}: not applicable (white-box only)"),
        (
            results(acc=metric(ACC, 0.5, direction="none")),
            f"{ACC} has no better and worse, so nothing can be ranked by it",
        ),
    ):
        ranking = rank(board=board(), results=given_, offer=OFFER)
        assert (ranking.sort_key, ranking.unranked) == (None, reason)
    impossible = rank(board=board(rank_by=DI), results=results(di=0.0), offer=OFFER)
    assert impossible.sort_key is None
    assert "infinitely far" in impossible.unranked


@pytest.mark.parametrize(
    ("spd", "ranked", "reason"),
    [
        (0.1, True, ""),
        (-0.1, True, ""),
        (0.123456, False, f"gate abs({SPD}) <= 0.1: 0.1235"),
        (None, False, f"gate abs({SPD}) <= 0.1: no value"),
    ],
)
def test_gates(spd, ranked, reason) -> None:
    ranking = rank(board=board(gates=[f"abs({SPD}) <= 0.1"]), results=results(acc=0.9, spd=spd), offer=OFFER)

    assert (ranking.sort_key is not None, ranking.unranked) == (ranked, reason)


def test_trust_by_hand() -> None:
    utilities = {
        ACC: UtilitySpec(weight=2),
        SPD: UtilitySpec(weight=1, worst=0.2),
        DI: UtilitySpec(weight=1),
        LOSS: UtilitySpec(weight=1, worst=2),
    }

    score, reason = trust(utilities=utilities, results=results(acc=0.8, spd=-0.05, di=1.25, loss=0.5), offer=OFFER)

    # accuracy 0.8 (twice); 1 - 0.05/0.2; 1/1.25; 1 - 0.5/2
    assert reason == ""
    assert score["value"] == pytest.approx((2 * 0.8 + 0.75 + 0.8 + 0.75) / 5)
    assert (score["low"], score["high"]) == (score["value"], score["value"])


def test_trust_interval_takes_each_result_at_its_worst_and_best() -> None:
    given_ = results(
        acc=metric(ACC, 0.8, low=0.7, high=0.9), spd=metric(SPD, 0.02, low=-0.1, high=0.06, direction="zero")
    )

    score, _ = trust(
        utilities={ACC: UtilitySpec(weight=1), SPD: UtilitySpec(weight=1, worst=0.2)}, results=given_, offer=OFFER
    )

    assert score["value"] == pytest.approx((0.8 + 0.9) / 2)
    assert score["low"] == pytest.approx((0.7 + 0.5) / 2)  # |spd| is at most 0.1
    assert score["high"] == pytest.approx((0.9 + 1.0) / 2)  # spd may be 0


def test_a_missing_result_is_no_zero() -> None:
    ranking = rank(
        board=board(rank_by="trust", utility={ACC: 1, LOSS: {"weight": 1, "worst": 1}}),
        results=results(acc=0.9),
        offer=OFFER,
    )

    assert ranking.sort_key is None
    assert ranking.unranked == f"{LOSS} was not computed"
    assert ranking.scores["trust"]["value"] is None


def test_no_anchors_no_trust() -> None:
    ranking = rank(board=board(rank_by="trust", utility={LOSS: 1}), results=results(loss=0.5), offer=OFFER)

    assert "has no anchors" in ranking.unranked


@given(st.sampled_from([ACC, SPD, DI]), st.floats(-1, 1), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.1, 10))
def test_utilities_stay_in_bounds_and_intervals_hold_them(key, value, below, above, weight) -> None:
    value = abs(value) if key != SPD else value
    made = metric(key, value, low=value - below, high=value + above, direction=OFFER.exact[key].direction)

    score, reason = trust(utilities={key: UtilitySpec(weight=weight)}, results={key: made}, offer=OFFER)

    assert reason == ""
    assert 0 <= score["low"] <= score["value"] <= score["high"] <= 1 + 1e-12


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_better_value_never_has_a_smaller_utility(a, b) -> None:
    for key in (ACC, SPD):
        direction = OFFER.exact[key].direction
        anchored = anchor(utility=UtilitySpec(weight=1), column=OFFER.exact[key], direction=direction)
        if signed(a, direction) >= signed(b, direction):
            assert anchored.utility(a) >= anchored.utility(b)


def test_offer_of_a_competition_knows_aliases_and_attributes() -> None:
    spec = CompetitionSpec.model_validate(spec_dict(
        attributes={"sex": {"privileged": "male"}},
        metrics=[
            {"use": "performance.accuracy"},
            {"use": "fairness.statistical_parity_difference"},
            {"use": "robustness.attack", "as": "hsj", "attack": "hop_skip_jump"},
        ],
    ))  # fmt: skip

    offer = columns_offered(spec=spec)

    assert offer.find(SPD).direction == "zero"
    assert offer.find("hsj.robust_accuracy").range == (0.0, 1.0)
    assert offer.find("hsj.success_rate").direction == "minimise"


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (None, 3, "–"),
        (0.12345, 3, "0.123"),
        (-0.5, 2, "−0.50"),
        (-0.0001, 3, "0.000"),
        (12345.678, 1, "12,345.7"),
        (0.0, 3, "0.000"),
    ],
)
def test_numbers_as_people_read_them(value, decimals, text) -> None:
    assert number(value, decimals) == text


@pytest.mark.parametrize(
    ("values", "span", "decimals"),
    [
        ([0.5], (0, 1), 3),
        ([None], (None, None), 3),
        ([0.001], (0, None), 4),
        ([1.5, 9.9], (0, None), 3),
        ([123.4], (0, None), 1),
        ([123456.0], (0, None), 0),
    ],
)
def test_decimals_of_a_column(values, span, decimals) -> None:
    assert decimals_for(values, span=span) == decimals
