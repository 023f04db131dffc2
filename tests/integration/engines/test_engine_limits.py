"""One suite for every engine: how much of everything a process may have, and how its end is told.

Where engines differ, `traits` says how: an expectation of its own, never a skip.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from enginekit import Traits, wait_for

from runners.engines import _limits
from runners.engines.base import Engine, Exit, Limits, Sandbox

Start = Callable[..., Sandbox]
Finish = Callable[..., tuple[Exit, str]]

MIB = 2**20


def test_it_is_killed_at_its_time_limit(finish: Finish) -> None:
    began = time.monotonic()
    ended, _ = finish("import time; time.sleep(60)", seconds=1.0)
    assert ended.timeout
    assert ended.killed
    assert time.monotonic() - began < 10


def test_more_memory_than_allowed_is_told_as_memory(finish: Finish) -> None:
    ended, _ = finish("x = bytearray(500 * 2**20); x[::4096] = b'x' * len(x[::4096]); print(len(x))", memory=64 * MIB)
    assert ended.memory
    assert ended.code != 0


def test_memory_of_a_child_counts(finish: Finish, engine: Engine, request: pytest.FixtureRequest) -> None:
    code = (
        "import os, sys\n"
        "if os.fork() == 0:\n"
        "    x = bytearray(500 * 2**20); x[::4096] = b'x' * len(x[::4096]); os._exit(0)\n"
        "_, status = os.wait(); print('child', status); sys.exit(0 if status == 0 else 5)"
    )
    ended, log = finish(code, memory=64 * MIB)
    assert ended.memory
    assert "child 0" not in log


def test_memory_as_a_sum_over_processes(finish: Finish) -> None:
    code = (
        "import os, time\n"
        "for _ in range(6):\n"
        "    if os.fork() == 0:\n"
        "        x = bytearray(40 * 2**20); x[::4096] = b'x' * len(x[::4096]); time.sleep(20); os._exit(0)\n"
        "for _ in range(6):\n"
        "    if os.wait()[1]: os._exit(4)"
    )
    ended, _ = finish(code, memory=96 * MIB)
    assert ended.memory


def test_the_number_of_processes_is_limited(finish: Finish) -> None:
    code = (
        "import os, time\nn = 0\n"
        "try:\n"
        "    while n < 300:\n"
        "        if os.fork() == 0: time.sleep(30); os._exit(0)\n"
        "        n += 1\n"
        "except OSError: pass\n"
        "print('forks', n)"
    )
    _, log = finish(code, pids=32)
    assert 10 <= int(log.split()[-1]) <= 32


def test_tmp_has_its_size(finish: Finish) -> None:
    code = (
        "n = 0\n"
        "try:\n"
        "    for i in range(64):\n"
        "        with open('/tmp/%d' % i, 'wb') as f: n += f.write(b'x' * 2**20)\n"
        "except OSError as e: print(e.errno)\n"
        "print(n)"
    )
    _, log = finish(code, tmp=8 * MIB)
    error, written = (int(line) for line in log.split())
    assert error == 28  # ENOSPC
    assert written <= 8 * MIB


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
def test_empty_files_are_counted(finish: Finish, traits: Traits, place: str) -> None:
    """They take none of the size of a file system, but memory of the host's kernel."""
    code = (
        "n = 0\n"
        "try:\n"
        "    while n < 50000: open('%s/%%d' %% n, 'x').close(); n += 1\n"
        "except OSError as e: print(e.errno)\n"
        "print(n)"
    )
    allowed = _limits.inodes(Limits(memory=0, cpus=1, seconds=1, tmp=MIB))
    if not traits.counts_files:  # gVisor, say, keeps them in the sandbox's own memory
        ended, log = finish(code % place, tmp=MIB, memory=48 * MIB)
        assert ended.memory is not traits.loose_memory
        assert (log == "") is not traits.loose_memory
        return
    ended, log = finish(code % place, tmp=MIB)
    error, files = (int(line) for line in log.split())
    assert error == 28  # ENOSPC
    assert 1000 < files <= allowed
    assert not ended.memory


def test_dev_shm_has_its_size(finish: Finish) -> None:
    code = (
        "n = 0\n"
        "try:\n"
        "    for i in range(64):\n"
        "        with open('/dev/shm/%d' % i, 'wb') as f: n += f.write(b'x' * 2**20)\n"
        "except OSError as e: print(e.errno)\n"
        "print(n)"
    )
    _, log = finish(code, tmp=8 * MIB)
    error, written = (int(line) for line in log.split())
    assert error == 28  # ENOSPC
    assert written <= 8 * MIB


def test_files_in_tmp_count_as_memory(finish: Finish, traits: Traits) -> None:
    code = (
        "import sys\n"
        "for i in range(96):\n"
        "    with open('/tmp/%d' % i, 'wb') as f: f.write(b'x' * 2**20)\n"
        "print('written')"
    )
    ended, log = finish(code, tmp=100 * MIB, memory=64 * MIB)
    assert ended.memory is not traits.loose_memory
    assert ("written" in log) is traits.loose_memory


def test_a_file_beyond_its_limit_is_the_process_s_own_error(finish: Finish) -> None:
    code = (
        "import os\n"
        "try:\n"
        "    with open('/tmp/x', 'wb') as f: f.truncate(2**40)\n"
        "except OSError as e: print('refused')\n"
        "print(os.stat('/tmp/x').st_blocks * 512)"
    )
    ended, log = finish(code)
    assert ended.code in (0, 128 + 25)  # SIGXFSZ, where Python does not ignore it
    assert int(log.split()[-1]) == 0


def test_the_processor_is_shared_out(start: Start, engine: Engine, traits: Traits) -> None:
    """By the kernel's account of the group that its processes are in: a busy machine hides what a clock would show."""
    sandbox = start("import time; time.sleep(20)", cpus=0.5)
    if traits.loose_cpu:
        assert any("CPU share" in line for line in engine.self_test().not_enforced)
        return
    lines = [line.split(":", 2) for line in Path(f"/proc/{_process(engine, sandbox)}/cgroup").read_text().splitlines()]
    paths = {name: path for _, names, path in lines for name in names.split(",")}
    if "cpu" in paths:
        folder = Path(f"/sys/fs/cgroup/cpu{paths['cpu']}")
        quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    else:
        quota, period = (int(word) for word in Path(f"/sys/fs/cgroup{paths['']}/cpu.max").read_text().split())
    assert quota / period == 0.5


def _process(engine: Engine, sandbox: Sandbox) -> int:
    """A process of the sandbox, by its number on the host."""
    if engine.name == "bubblewrap":
        return max(sandbox._group.pids())  # type: ignore[attr-defined,no-any-return]
    state = engine.client.inspect_container(sandbox._id)["State"]  # type: ignore[attr-defined]
    return int(state["Pid"])


def test_the_log_is_capped_and_keeps_its_end(finish: Finish) -> None:
    ended, log = finish("for i in range(20000): print('line', i)\nprint('the end')", log=64 * 1024)
    assert ended.code == 0
    assert len(log.encode()) <= 64 * 1024
    assert log.rstrip().endswith("the end")


def test_peak_memory_is_measured(start: Start) -> None:
    sandbox = start(
        "import time\nx = bytearray(60 * 2**20); x[::4096] = b'x' * len(x[::4096])\n"
        "print('up', flush=True); time.sleep(30)"
    )
    wait_for(lambda: b"up" in sandbox.logs())
    wait_for(lambda: (sandbox.peak_memory() or 0) >= 60 * MIB)
    assert sandbox.poll() is None
    sandbox.close()
    peak = sandbox.peak_memory()
    assert peak is not None
    assert 60 * MIB <= peak <= 128 * MIB
