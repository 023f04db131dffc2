"""A sound competition's folder that tests then break."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SOUND = """\
touchstone: 1
slug: mini
title: Mini
task: {kind: binary, classes: ["no", "yes"], positive: "yes", favourable: "no"}
data:
  open: {path: data/open, visibility: public}
  test: {path: data/test, visibility: hidden}
attributes:
  race: {privileged: White}
submission:
  kinds: [predictions]
phases:
  - slug: main
    split: test
    opens: 2026-01-01T00:00Z
metrics:
  - {use: performance.accuracy}
  - {use: fairness.statistical_parity_difference, attribute: race}
leaderboards:
  - slug: main
    rank_by: performance.accuracy
    gates: ["abs(fairness.statistical_parity_difference[race]) <= 0.5"]
"""


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A folder without defects."""
    for name, prefix in (("open", "o"), ("test", "t")):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        (folder / "labels.csv").write_text(f"id,label\n{prefix}1,no\n{prefix}2,yes\n{prefix}3,no\n")
        (folder / "attributes.csv").write_text(f"id,race\n{prefix}1,White\n{prefix}2,Black\n{prefix}3,\n")
    (tmp_path / "competition.yml").write_text(SOUND)
    return tmp_path


@pytest.fixture
def broken(sound: Path) -> Callable[..., Path]:
    """`broken(old, new, ...)`: the sound folder with pairs of text replaced in competition.yml."""

    def make(*pairs: str) -> Path:
        text = SOUND
        for old, new in zip(pairs[::2], pairs[1::2], strict=True):
            assert text.count(old) == 1, f"{old!r} must stand once in the sound file"
            text = text.replace(old, new)
        (sound / "competition.yml").write_text(text)
        return sound

    return make
