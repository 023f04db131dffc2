"""What a comparison says of a difference, in words."""

from __future__ import annotations

import pytest

from touchstone.leaderboards.differences import Difference
from touchstone.web.comparison import Cell, _against


@pytest.mark.parametrize(
    ("gain", "word"), [(None, ""), (0.0, "the same"), (0.2, "better"), (-0.2, "worse")]
)  # fmt: skip
def test_a_metric_without_direction_is_not_called_the_same(gain: float | None, word: str) -> None:
    told = _against(Cell("0.7", "", None, ""), Difference(0.2, gain, False))

    assert (told.change, told.word) == ("+0.200", word)
