"""The arithmetic of the benchmark, and what it does with bad options and missing engines."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from bench import content, queries
from bench.__main__ import main
from bench.echo import Echo
from bench.leaderboard import _report
from bench.probe import ProbeError, clean_environment, probe
from bench.rounds import alternate, ratio, summary
from bench.submission import Sent, _stages


def test_summary_gives_median_quartiles_and_spread() -> None:
    assert summary([4.0, 1.0, 3.0, 2.0, 5.0]) == {"median": 3.0, "n": 5, "q1": 2.0, "q3": 4.0, "spread": 0.667}


def test_summary_of_one_value_has_no_spread() -> None:
    assert summary([0.5]) == {"median": 0.5, "n": 1, "q1": 0.5, "q3": 0.5, "spread": 0.0}


def test_small_numbers_keep_their_digits() -> None:
    assert summary([0.00012345])["median"] == 0.000123


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing"):
        summary([])


def test_ratio_pairs_what_was_measured_in_one_round() -> None:
    # A machine that is slow in one round is slow for both: the ratio does not see it.
    assert ratio([2.0, 20.0, 4.0], [1.0, 10.0, 2.0])["median"] == 2.0
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])


def test_cases_take_turns_and_each_begins_once() -> None:
    order: list[str] = []
    cases = {name: lambda name=name: order.append(name) for name in "abc"}

    found = alternate(cases, rounds=3)

    assert order == [*"abc", *"bca", *"cab"]
    assert {name: len(values) for name, values in found.items()} == {"a": 3, "b": 3, "c": 3}


def test_stages_of_a_submission_add_up_to_its_seconds() -> None:
    at = {"received": 10.1, "checking": 10.2, "queued": 10.7, "running": 10.8, "scored": 12.0}
    node = {"fetch": 0.1, "metric:a": 0.2, "metric:b": 0.3, "predict": 0.25}

    found = _stages(Sent("x", 10.0, 12.5), {"x": {"at": at, "stages": node}})

    assert sum(found.values()) == pytest.approx(2.0)
    assert found["node_metrics"] == pytest.approx(0.5)
    assert found["report"] == pytest.approx(1.2 - 0.85)


def test_engine_that_is_missing_is_null_with_its_reason() -> None:
    engines = {"docker": {"problems": ["no daemon"]}, "bubblewrap": {"problems": []}}
    rates = {"bubblewrap": [50.0, 60.0], "in_process": [100.0, 100.0], "http_echo": [200.0, 200.0]}

    told = queries._workload("items_12kib", engines, rates)

    assert told["docker"] is None
    assert told["docker_reason"] == "no daemon"
    assert told["bubblewrap"]["ratio_to_in_process"]["median"] == 0.55
    assert told["bubblewrap"]["ratio_to_http_echo"]["median"] == 0.275


def test_report_compares_the_sizes_round_by_round() -> None:
    def case(scale: float) -> dict[str, list[dict[str, float]]]:
        return {"web": [{"wall_ms": w * scale, "cpu_ms": w, "sql_ms": 1.0, "sql": 9, "bytes": 5} for w in (1.0, 9.0)]}

    told = _report(
        {
            "cases": {"10": case(1.0), "20": case(3.0)},
            "naive_ms": {"10": [2.0], "20": [8.0]},
            "page_sql_ms": {"10": [1.0], "20": [2.0]},
            "postgresql": "17",
            "seed_seconds": {},
        },
        10,
        20,
    )

    assert told["pages"]["web"]["ratio_large_to_small"]["wall_ms"]["median"] == 3.0
    assert told["pages"]["web"]["20"]["sql_queries"] == 9
    assert told["peer"]["ratio"]["20"]["median"] == 4.0


def test_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--only", "submission,speed"])

    assert ended.value.code == 2
    assert "speed" in capsys.readouterr().err


def test_probe_that_fails_is_an_error() -> None:
    with pytest.raises(ProbeError, match=r"bench\.no_such_probe"):
        probe("bench.no_such_probe", {}, environment={})


def test_somebodys_touchstone_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql:///production")
    monkeypatch.setenv("TOUCHSTONE_STORAGE", "/srv/storage")

    assert not {"DATABASE_URL", "TOUCHSTONE_STORAGE", "DJANGO_SETTINGS_MODULE"} & clean_environment().keys()


def test_echo_answers_each_question_in_full(tmp_path: Path) -> None:
    before = threading.active_count()
    with Echo(tmp_path, reply=320) as echo:
        answers = [echo.ask(b"x" * size) for size in (1, 12_288, 300_000)]

    assert [len(answer) for answer in answers] == [320, 320, 320]
    assert threading.active_count() == before


def test_timed_competition_is_the_real_one_without_what_takes_as_long_as_told(tmp_path: Path) -> None:
    folder = content.bundle(tmp_path / "bundle")

    spec = content.competition()
    uses = {use.use for use in spec.metrics}
    assert spec.slug == content.SLUG
    assert {use.split(".")[0] for use in uses} == {"performance", "fairness"}
    assert len(content.questions()[-1]) > 1000
    assert not (folder / "baselines").exists()
    shutil.rmtree(folder)
