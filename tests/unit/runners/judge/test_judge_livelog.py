"""A log is told while it grows, in order, within its limit, whatever the submission does to it."""

import threading

import pytest

from runners.errors import RetryableError
from runners.judge import livelog
from runners.judge.livelog import LiveLog, new_bytes

LIMIT = 4000


class Tail:
    """A sandbox's log: the last `window` bytes."""

    def __init__(self, window: int = LIMIT) -> None:
        self.window, self.data, self.looks = window, b"", 0
        self.looked = threading.Event()

    def write(self, data: bytes) -> None:
        self.data += data

    def __call__(self) -> bytes:
        self.looks += 1
        self.looked.set()
        return self.data[-self.window :]


@pytest.fixture
def told():
    return []


@pytest.fixture
def follow(told, monkeypatch):
    """A live log that looks when asked to."""
    monkeypatch.setattr(livelog, "_PAUSE_S", 3600)
    logs = []

    def make(read, limit=LIMIT):
        log = LiveLog(lambda text, public: told.append((text, public)), limit=limit)
        log.watch(read)
        logs.append(log)
        return log

    yield make
    for log in logs:
        log.end()


def joined(told, public=None):
    return "".join(text for text, open_ in told if public in (None, open_))


@pytest.mark.parametrize(
    ("before", "now", "fresh"),
    [
        (b"", b"abc", (b"abc", False)),
        (b"abc", b"abcd", (b"d", False)),
        (b"abc", b"abc", (b"", False)),
        (b"abcdef", b"defghi", (b"defghi", True)),  # windows this short may be chance
        (b"x" * 300 + b"abc", b"x" * 280 + b"abcdef", (b"def", False)),
        (b"old", b"entirely new", (b"entirely new", True)),
    ],
)
def test_what_is_new_follows_what_two_windows_share(before, now, fresh):
    assert new_bytes(before, now) == fresh


def test_a_sliding_window_loses_nothing():
    stream = b"".join(f"line {n}\n".encode() for n in range(2000))
    seen, before = b"", b""
    for end in range(100, len(stream), 777):
        now = stream[:end][-1500:]
        fresh, missed = new_bytes(before, now)
        assert not missed
        seen, before = seen + fresh, now
    assert stream.startswith(seen)
    assert len(seen) > 15_000


def test_a_log_that_fits_everywhere_is_not_compared_for_ever(monkeypatch):
    tries = []

    class Counted(bytes):
        def rfind(self, *given):
            tries.append(1)
            return super().rfind(*given)

    before, now = b"a" * 2**20 + b"b", Counted(b"a" * 2**20)
    assert new_bytes(b"c" + before[: 2**20], now)[1] in (True, False)
    assert len(tries) <= livelog._MOST_TRIES


def test_increments_come_once_and_by_the_line(follow, told):
    tail = Tail()
    log = follow(tail)
    tail.write(b"one\ntw")
    log._look()
    assert told == [("one\n", True)]
    tail.write(b"o\nthree\n")
    log._look()
    assert told == [("one\n", True), ("two\nthree\n", True)]
    tail.write(b"no end")
    log._look()
    log._look()
    assert told[2:] == [("no end", True)]


def test_the_public_part_ends_where_secrets_begin(follow, told):
    tail = Tail()
    log = follow(tail)
    tail.write(b"loading\n")
    assert log.public is None
    assert log.end_of_public() == "loading\n"
    tail.write(b"i17 looks odd\n")
    log.end()
    assert told == [("loading\n", True), ("i17 looks odd\n", False)]
    assert log.public == "loading\n"
    assert log.kept(tail.data) == tail.data


def test_of_a_flood_the_first_and_the_last_part_are_kept(follow, told):
    tail = Tail(window=1000)
    log = follow(tail)
    for n in range(500):
        tail.write(f"line {n:04}\n".encode())
        log._look()
    log.end_of_public()
    tail.write(b"the last words\n")
    log.end()

    text = joined(told)
    assert text.startswith("line 0000\n")
    assert "line 0499\n" in text
    assert text.endswith("the last words\n")
    assert len(text) <= LIMIT + 100
    cut = int(text.split("[platform] ")[1].split(" bytes")[0])
    assert cut == 500 * 10 - LIMIT // 2
    kept = log.kept(tail()).decode()
    assert kept == text


def test_a_flood_that_outruns_the_looks_says_that_more_is_missing(follow, told):
    tail = Tail(window=1000)
    log = follow(tail)
    for _ in range(3):
        tail.write(bytes(range(97, 123)) * 100 + str(len(told)).encode() * 7 + tail.data[:1])
        tail.data = tail.data[::-1]
        log._look()
    log.end()
    assert "at least" in joined(told)


def test_bytes_that_are_no_text_are_told_all_the_same(follow, told):
    tail = Tail()
    log = follow(tail)
    tail.write("grü".encode()[:-1])
    log._look()
    log._look()
    tail.write("ü".encode()[1:] + b"\x00\xff\n")
    log._look()
    assert joined(told) == "grü\ufffd\ufffd\n"


def test_an_engine_that_does_not_answer_is_asked_again(follow, told):
    answers = [RetryableError("away"), b"back\n"]

    def read():
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    log = follow(read)
    log._look()
    assert told == []
    log._look()
    assert told == [("back\n", True)]


def test_a_thread_follows_by_itself_and_ends(told, monkeypatch):
    monkeypatch.setattr(livelog, "_PAUSE_S", 0.01)
    tail, heard = Tail(), threading.Event()
    log = LiveLog(lambda text, public: (told.append((text, public)), heard.set()), limit=LIMIT)
    log.watch(tail)
    tail.write(b"alive\n")
    assert heard.wait(10)
    log.end()
    looks = tail.looks
    log.end()
    assert told == [("alive\n", True)]
    assert tail.looks == looks
    assert "live-log" not in {thread.name for thread in threading.enumerate()}


def test_a_log_that_takes_long_to_read_is_read_less_often(monkeypatch):
    waits = []
    log = LiveLog(lambda *_: None, limit=LIMIT)
    clock = iter([0.0, 2.0, 10.0, 10.001])

    class Stop:
        def wait(self, seconds):
            waits.append(seconds)
            return len(waits) == 3

    monkeypatch.setattr(livelog.time, "monotonic", lambda: next(clock))
    log._stop = Stop()
    log._follow()
    assert waits == [1.0, 40.0, 1.0]
