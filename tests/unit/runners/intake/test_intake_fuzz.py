"""Nasty files at every door, as they are and after changes that hypothesis chooses; `make fuzz` goes on from here."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runners.spec.bundle import ArchiveError, ArchiveLimits, inspect_zip
from tests.fuzz.doors import DOORS, PEAK, Broken, House, house
from tests.fuzz.mutate import mutated
from tests.fuzz.nasty import seeds

#: Of those that take long, every third.
_STEP = {"bundle": 3}
_EXAMPLES = {"bundle": 10, "predictions": 20, "yaml": 20}


@pytest.fixture
def home() -> Iterator[House]:
    with house() as found:
        yield found


@pytest.mark.parametrize("door", sorted(DOORS))
def test_nasty_files_are_taken_or_refused_in_our_words(door: str, home: House) -> None:
    for number, data in enumerate(seeds(door)[:: _STEP.get(door, 1)]):
        home.knock(door, data, traced=number % 10 == 0)


@pytest.mark.parametrize("door", sorted(DOORS))
def test_changed_files_are_too(door: str, home: House) -> None:
    corpus = seeds(door)

    @settings(
        max_examples=_EXAMPLES.get(door, 60), deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.sampled_from(range(len(corpus))), st.integers(0, 2**32))
    def knock(number: int, seed: int) -> None:
        home.knock(door, mutated(corpus[number], corpus, random.Random(seed)))

    knock()


def test_a_directory_is_not_hidden_behind_a_second_end(tmp_path: Path) -> None:
    """`zipfile` believes a zip64 record whatever the usual end says: that says 52 bytes, and millions follow."""
    count = 20_000
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 0, 20, 0, *[0] * 7, 6, *[0] * 6)
    directory = b"".join(entry + b"%06d" % number for number in range(count))
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(directory), 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(directory), 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 52, 0, 0)
    path = tmp_path / "x.zip"
    path.write_bytes(directory + record + locator + end)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="directory has 1,040,000 bytes"):
            inspect_zip(path, limits=ArchiveLimits(entries=500))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_the_house_sees_what_goes_wrong(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def climbs(path: Path, place: Path) -> bool:
        (place.parent.parent / "out").write_text("x")
        return True

    def leaves(path: Path, place: Path) -> bool:
        place.mkdir()
        (place / "left").write_text("x")
        return False

    def links(path: Path, place: Path) -> bool:
        place.mkdir()
        (place / "link").symlink_to("/etc/passwd")
        return True

    def eats(path: Path, place: Path) -> bool:
        return len(bytearray(PEAK + 2**20)) == 0

    for door, said in ((climbs, "outside"), (leaves, "refusal"), (links, "neither"), (eats, "MiB")):
        monkeypatch.setitem(DOORS, "broken", door)
        with pytest.raises(Broken, match=said):
            home.knock("broken", b"x", traced=True)
