from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from touchstone_client.decode import decode, encode
from touchstone_client.errors import ClientError


@dataclass(frozen=True)
class Inner:
    name: str
    size: float


@dataclass(frozen=True)
class Outer:
    at: datetime
    inner: Inner
    many: tuple[Inner, ...]
    maybe: int | None
    scores: dict[str, float]
    late: datetime | None = None


GOOD = {
    "at": "2026-01-31T23:59:00Z",
    "inner": {"name": "a", "size": 1},
    "many": [{"name": "b", "size": 2.5}],
    "maybe": None,
    "scores": {"x": 1},
    "unknown to this client": [1, 2],
}


def test_decode_nests_and_ignores_what_is_new() -> None:
    found = decode(Outer, GOOD)
    assert found == Outer(
        datetime(2026, 1, 31, 23, 59, tzinfo=UTC), Inner("a", 1.0), (Inner("b", 2.5),), None, {"x": 1.0}
    )
    assert isinstance(found.inner.size, float)


def test_encode_is_json_and_comes_back() -> None:
    found = decode(Outer, GOOD)
    assert encode(found)["at"] == "2026-01-31T23:59:00+00:00"
    assert decode(Outer, encode(found)) == found


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"at": None}, "at|fromisoformat"),
        ({"inner": {"name": "a"}}, "size is missing"),
        ({"inner": {"name": 3, "size": 1}}, "name is int, not str"),
        ({"inner": []}, "expected an object"),
        ({"maybe": "3"}, "maybe is str, not int"),
        ({"scores": {"x": True}}, "x|scores"),
    ],
)
def test_other_shapes_are_an_error_that_names_the_place(change: dict[str, object], told: str) -> None:
    with pytest.raises(ClientError, match=told) as caught:
        decode(Outer, {**GOOD, **change})
    assert caught.value.code == "unknown_answer"
