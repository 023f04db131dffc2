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
