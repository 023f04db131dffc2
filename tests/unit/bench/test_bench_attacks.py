"""What the benchmark of attacks makes of its measurements."""

from __future__ import annotations

from bench import attacks

SIZES = {"items": 10}


def _one(seconds: float = 1.0, **more: float) -> dict[str, float]:
    return {
        "seconds": seconds, "queries": 100.0, "calls": 20.0, "robust_accuracy": 0.5, "median_distance": 1.0, **more,
    }  # fmt: skip


def test_projected_steps_have_to_stay_near_their_limit() -> None:
    def reached(seconds: float) -> bool:
        return bool(attacks._told("pgd", {"native": [_one(seconds)], "limit": [_one()]}, SIZES)["reached"])

    assert reached(1.15)
    assert not reached(1.16)


def test_fewer_questions_count_only_at_an_equal_result() -> None:
    def told(left: float) -> dict[str, object]:
        cases = {"native": [_one(robust_accuracy=left)], "art": [_one(queries=250.0)]}
        return attacks._told("square", cases, SIZES)

    assert told(0.5)["ratio"]["median"] == 2.5  # type: ignore[index]
    assert told(0.51)["reached"] is True
    assert (told(0.53)["reached"], told(0.53)["equal"]) == (False, False)


def test_round_trips_of_art_grow_with_the_items_and_ours_do_not() -> None:
    cases = {"native": [_one(calls=20.0)], "art": [_one(calls=100.0)]}
    told = attacks._told("hop_skip_jump", cases, SIZES)

    assert told["native"]["calls_per_100_items"]["median"] == 20.0
    assert told["art"]["calls_per_100_items"]["median"] == 1000.0
    assert told["reached"] is True
