"""The search for a batch size: it grows while that pays, stays clear of the memory limit, and backs off."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runners.models._batches import BatchSize

MIB = 2**20


class Server:
    """`cost(n)`: seconds of a call; `memory(n)`: bytes of a call beyond `base`. Killed beyond `limit`."""

    def __init__(
        self, cost: Callable[[int], float], *, memory: Callable[[int], int] = lambda n: 0, base: int = 100 * MIB,
        limit: int = 1024 * MIB, most: int = 256, tells: bool = True, item_bytes: int = 4,
    ) -> None:  # fmt: skip
        self.cost, self.memory, self.limit = cost, memory, limit
        self.peak = self.base = base
        self.asked: list[int] = []
        self.batch = BatchSize(
            most=most, memory=limit, item_bytes=item_bytes, peak=lambda: self.peak if tells else None
        )
        self.batch.started()

    def ask(self, items: int | None = None) -> None:
        items = items or self.batch.items
        self.asked.append(items)
        self.peak = max(self.peak, self.base + self.memory(items))
        assert self.peak <= self.limit, "it was killed for memory"
        self.batch.answered(items, self.cost(items))

    def run(self, calls: int = 20) -> list[int]:
        for _ in range(calls):
            self.ask()
        return self.asked


def test_it_doubles_up_to_the_most_while_each_doubling_pays() -> None:
    server = Server(lambda n: 0.01 + n * 1e-6)
    assert server.run(8) == [16, 32, 64, 128, 256, 256, 256, 256]
    assert server.batch.settled


def test_it_stays_where_more_items_bring_no_more_a_second() -> None:
    server = Server(lambda n: n * 1e-4)
    assert server.run(6) == [16, 32, 32, 16, 16, 16]


def test_one_slow_call_stops_nothing() -> None:
    seconds = iter([1e-3, 0.5, 1e-3, *[1e-3] * 9])
    server = Server(lambda n: next(seconds))
    assert server.run(6) == [16, 32, 32, 64, 128, 256]


def test_a_cold_first_call_does_not_settle_it() -> None:
    seconds = iter([20.0, *[1e-2] * 9])
    server = Server(lambda n: next(seconds))
    assert server.run(7) == [16, 16, 32, 64, 128, 256, 256]


@pytest.mark.parametrize("per_item", [MIB // 8, MIB, 2 * MIB, 5 * MIB, 40 * MIB])
@pytest.mark.parametrize("setup", [0, 300 * MIB])
def test_growing_never_ends_in_a_kill(per_item: int, setup: int) -> None:
    """`setup`: what the first call makes for good. 40 MiB an item leave no room for one doubling."""
    server = Server(lambda n: 0.01 + n * 1e-6, memory=lambda n: setup + n * per_item, limit=1024 * MIB)
    if 100 * MIB + setup + 16 * per_item > server.limit:
        with pytest.raises(AssertionError, match="killed"):
            server.run()  # no search can help where the first call is too much
        return
    server.run()
    assert server.peak <= 0.8 * server.limit or server.asked[-1] == 16
    assert per_item > MIB or setup or server.batch.items == {MIB // 8: 256, MIB: 256}[per_item]


def test_large_items_count_though_the_first_peak_does_not_show_them() -> None:
    """The peak at the start may be higher than what a batch needs: loading took more than running does."""
    server = Server(lambda n: 0.01, base=700 * MIB, item_bytes=MIB)
    server.run()
    assert server.batch.items == 64  # 700 + 3 * 32 is below 0.8 * 1024, 700 + 3 * 64 is not


def test_a_call_stays_short() -> None:
    server = Server(lambda n: 0.2 + n * 1e-4)
    server.run()
    assert server.batch.items == 256
    slow = Server(lambda n: 0.4 + n * 5e-3)
    slow.run()
    assert slow.batch.items == 32


def test_without_a_peak_only_pace_counts() -> None:
    server = Server(lambda n: 0.01, memory=lambda n: 4 * n * MIB, limit=2048 * MIB, tells=False)
    server.run()
    assert server.batch.items == 256


def test_small_calls_tell_nothing() -> None:
    server = Server(lambda n: 0.01)
    for _ in range(10):
        server.ask(3)
    assert server.batch.items == 16
    assert not server.batch.settled


def test_a_refusal_halves_and_ends_the_search() -> None:
    server = Server(lambda n: 0.01)
    server.run(3)
    assert server.batch.items == 128
    assert server.batch.refused(128)
    assert server.batch.items == 64
    server.run(5)
    assert server.batch.items == 64
    assert [server.batch.refused(server.batch.items) for _ in range(7)] == [True] * 6 + [False]
    assert server.batch.items == 1


def test_the_rest_of_a_split_is_refused() -> None:
    server = Server(lambda n: 0.01)
    assert server.batch.refused(6)
    assert server.batch.items == 3


def test_a_bound_below_the_first_size() -> None:
    server = Server(lambda n: 0.01, most=5)
    assert server.run(3) == [5, 5, 5]
    assert server.batch.settled
