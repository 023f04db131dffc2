"""The part of the benchmark on fairness: every way gives the same values, and disagreement ends it."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import pytest

from bench import fairness
from bench.fairness_probe import CASES, resident
from bench.probe import ProbeError


def _answers(case: str, n: int) -> dict[str, float]:
    level = logging.getLogger().level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return CASES[case](n)()
    finally:
        logging.getLogger().setLevel(level)


def test_every_way_gives_the_same_values() -> None:
    ours = _answers("native", 2000)

    assert set(ours) == {"spd", "di", "eod", "aod", "theil"}
    for case in ("measured", "aif360", "fairlearn"):
        fairness._same(ours, _answers(case, 2000), case)


def test_values_that_differ_end_the_benchmark() -> None:
    fairness._same({"spd": 0.1, "theil": 0.2}, {"spd": 0.1 + 1e-12}, "other")
    with pytest.raises(ProbeError, match=r"other gives other values than ours: .*spd"):
        fairness._same({"spd": 0.1}, {"spd": 0.1001}, "other")


@pytest.mark.parametrize(("quick", "reached"), [(True, None), (False, True)])
def test_libraries_stand_as_multiples_of_ours(
    monkeypatch: pytest.MonkeyPatch, quick: bool, reached: bool | None
) -> None:
    seconds = {"native": 0.005, "measured": 0.01, "aif360": 3.0, "fairlearn": 20.0, "reject_native": 0.002}

    def probe(_module: str, question: dict[str, Any], **_: Any) -> dict[str, Any]:
        spent = [seconds.get(question["case"], 2.0)] * question["rounds"]
        return {"seconds": spent, "extra_bytes": 1000, "values": {"spd": 0.1}}

    monkeypatch.setattr(fairness, "probe", probe)
    found = fairness.measure(quick=quick)

    assert found["aif360"]["times_slower_than_measured"]["median"] == 300.0
    assert found["fairlearn"]["times_slower_than_measured"]["median"] == 2000.0
    assert found["aif360"]["times_slower_than_native"]["median"] == 600.0
    assert found["reject_option"]["times_slower_than_native"]["median"] == 1000.0
    assert found["rows"] == fairness.ROWS[quick]
    assert found["reached"] == (reached and dict.fromkeys([*fairness.TARGETS, "extra_bytes"], True))
    # The claim is about what a competition gets: a fast count alone does not reach it.
    seconds["measured"] = 0.5
    again = fairness.measure(quick=quick)["reached"]
    assert again is None or (again["aif360"], again["fairlearn"]) == (False, False)


def test_memory_is_read_where_the_system_tells() -> None:
    peak, now = resident("VmHWM"), resident("VmRSS")

    assert peak is None or now is None or peak >= now * 0.9 > 1_000_000
    assert resident("VmNothing") is None
