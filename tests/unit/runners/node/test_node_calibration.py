"""The calibration counts operations by its clock, and stays short."""

from itertools import count

import pytest

from runners.node.calibration import multiply_adds_per_second


@pytest.mark.parametrize(("tick", "reads"), [(0.001, 7), (1.0, 3)])
def test_the_rate_is_operations_by_seconds_and_a_slow_machine_measures_less(tick: float, reads: int) -> None:
    times = count()
    used = []

    def clock() -> float:
        used.append(1)
        return next(times) * tick

    assert multiply_adds_per_second(clock) == pytest.approx(512**3 / tick)
    measured = (len(used) - 1) // 2
    assert measured in (reads, reads + 1, reads + 2)


def test_a_moment_of_load_does_not_count() -> None:
    """The best of the repeats: what else the machine does meanwhile must not slow the node for as long as it runs."""
    times = iter([0.0, 0.0, 1.0, 1.0, 1.25, 1.25, 2.25, 99.0])  # a second, a quarter, a second, and time is over
    assert multiply_adds_per_second(lambda: next(times)) == 512**3 / 0.25


def test_one_processor_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox has a share of them: the number must not grow with the processors of the node."""
    limits = []

    class Limits:
        def __init__(self, limits_: int, api: str) -> None:
            limits.append((limits_, api))

        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr("runners.node.calibration.threadpool_limits", lambda limits, user_api: Limits(limits, user_api))
    assert multiply_adds_per_second() > 0
    assert limits == [(1, "blas")]
