"""One suite for every engine: what a hostile or broken process may do, and how its end is told."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runners.channel.listener import Listener
from runners.engines.base import Engine, Exit, Job, Limits, Sandbox
from runners.errors import ParticipantFault, RetryableError

Start = Callable[..., Sandbox]
Finish = Callable[..., tuple[Exit, str]]

MIB = 2**20


@pytest.mark.parametrize("code", [0, 3])
def test_exit_code_and_output_come_back(finish: Finish, code: int) -> None:
    ended, log = finish(f"import sys; print('out'); print('err', file=sys.stderr); sys.exit({code})")
    assert ended == Exit(code)
    assert "out" in log
    assert "err" in log


def test_a_signal_shows_in_the_exit_code(finish: Finish) -> None:
    ended, _ = finish("import os, signal; os.kill(os.getpid(), signal.SIGSEGV); import time; time.sleep(9)")
    assert ended.code == 139
    assert not ended.memory


def test_it_is_killed_at_its_time_limit(finish: Finish) -> None:
    began = time.monotonic()
    ended, _ = finish("import time; time.sleep(60)", seconds=1.0)
    assert ended.timeout
    assert ended.killed
    assert time.monotonic() - began < 10


def test_kill_ends_a_process_that_ignores_signals(start: Start) -> None:
    code = (
        "import signal, time\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\n"
        "print('up', flush=True)\ntime.sleep(60)"
    )
    sandbox = start(code)
    _wait_for(lambda: b"up" in sandbox.logs())
    began = time.monotonic()
    sandbox.kill()
    sandbox.kill()
    ended = sandbox.poll()
    assert ended is not None
    assert ended.killed
    assert not ended.timeout
    assert time.monotonic() - began < 5


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


def test_there_is_no_network(finish: Finish) -> None:
    code = (
        "import socket\n"
        "def refused(family, address):\n"
        "    try: s = socket.socket(family); s.settimeout(1); s.connect(address)\n"
        "    except OSError: return True\n"
        "print(all([refused(socket.AF_INET, ('1.1.1.1', 53)), refused(socket.AF_INET, ('172.17.0.1', 22)),\n"
        "  refused(socket.AF_INET6, ('::1', 80)), refused(socket.AF_INET, ('127.0.0.1', %d))]))\n"
        "print(sorted(l.split(':')[0].strip() for l in open('/proc/net/dev') if ':' in l))"
    )
    with socket.create_server(("127.0.0.1", 0)) as host:
        _, log = finish(code % host.getsockname()[1])
    assert log.splitlines() == ["True", "['lo']"]


def test_host_abstract_sockets_are_out_of_reach(finish: Finish, run_name: str) -> None:
    code = "import socket\ntry: socket.socket(socket.AF_UNIX).connect('\\0%s')\nexcept OSError: print('refused')"
    with socket.socket(socket.AF_UNIX) as host:
        host.bind(f"\0{run_name}")
        host.listen()
        _, log = finish(code % run_name)
    assert log.strip() == "refused"


def test_only_tmp_can_be_written(finish: Finish, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    code = (
        "import os\nfound = []\n"
        "for root in ('/', '/usr', '/etc', '/opt', '/dev', '/run', '/run/touchstone', '/submission', '/root',\n"
        "             '/var/tmp', '/home', '/proc/sys/kernel', '/sys', '/tmp', '/dev/shm'):\n"
        "    try: open(root + '/probe', 'w').close(); found.append(root)\n"
        "    except OSError: pass\n"
        "print(found)"
    )
    _, log = finish(code, folder=tmp_path)
    assert log.strip() == "['/tmp', '/dev/shm']"
    assert list(tmp_path.iterdir()) == []


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


def test_the_log_is_capped_and_keeps_its_end(finish: Finish) -> None:
    ended, log = finish("for i in range(200000): print('line', i)\nprint('the end')", log=64 * 1024)
    assert ended.code == 0
    assert len(log.encode()) <= 64 * 1024
    assert log.rstrip().endswith("the end")


def test_the_environment_holds_nothing_of_the_host(finish: Finish, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_NODE_TOKEN", "tsn_secret_of_the_node")
    code = (
        "import os, json, glob\nseen = {}\n"
        "for path in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):\n"
        "    try: seen[path] = open(path, errors='replace').read()\n"
        "    except OSError: pass\n"
        "print(json.dumps([dict(os.environ), seen]))"
    )
    _, log = finish(code, env={"GIVEN": "yes"})
    env, seen = json.loads(log.splitlines()[-1])
    assert env["GIVEN"] == "yes"
    assert "TOUCHSTONE_NODE_TOKEN" not in env
    assert "tsn_secret_of_the_node" not in json.dumps(seen)


def test_no_descriptor_of_the_judge_comes_along(finish: Finish, tmp_path: Path) -> None:
    secret = tmp_path / "labels.csv"
    secret.write_text("id,label")
    with secret.open() as labels:
        os.set_inheritable(labels.fileno(), True)
        code = (
            "import glob, json, os\nseen = {}\n"
            "for path in glob.glob('/proc/[0-9]*/fd/*'):\n"
            "    try: seen[path] = os.readlink(path)\n"
            "    except OSError: pass\n"
            "print(json.dumps(seen))"
        )
        _, log = finish(code)
    seen = json.loads(log.splitlines()[-1])
    allowed = (
        "pipe:",
        "/dev/null",
        "/proc/",
        "anon_inode:[eventfd]",
        "anon_inode:[signalfd]",
        "anon_inode:[eventpoll]",
    )
    assert seen
    assert [target for target in seen.values() if not target.startswith(allowed)] == []


def test_it_is_nobody_and_has_no_rights(finish: Finish) -> None:
    code = (
        "import json, os\n"
        "s = dict(l.split(':\\t', 1) for l in open('/proc/self/status').read().splitlines() if ':\\t' in l)\n"
        "bits = [int(s[key], 16) for key in ('CapEff', 'CapPrm', 'CapBnd', 'NoNewPrivs', 'Seccomp')]\n"
        "print(json.dumps([os.getuid(), os.getgid(), sorted(set(os.getgroups()) - {65534}), bits]))"
    )
    _, log = finish(code)
    assert json.loads(log) == [65534, 65534, [], [0, 0, 0, 1, 2]]


def test_dangerous_system_calls_are_refused(finish: Finish) -> None:
    code = (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "calls = dict(unshare_user=(272, 0x10000000), bpf=(321, 0, 0, 0), userfaultfd=(323, 0), keyctl=(250, 0, 0),\n"
        "  mount=(165, b'none', b'/tmp', b'tmpfs', 0, 0), perf=(298, 0, 0, -1, -1, 0), ptrace=(101, 0, 0, 0, 0))\n"
        "calls.pop('ptrace') if os.path.exists('/.dockerenv') else None\n"
        "print([name for name, args in calls.items() if libc.syscall(*args) >= 0])"
    )
    _, log = finish(code)
    assert log.strip() == "[]"


def test_the_submission_is_there_and_is_the_working_folder(finish: Finish, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import os; print(os.getcwd(), open('data.txt').read())")
    (tmp_path / "data.txt").write_text("hello")
    tmp_path.chmod(0o755)
    _, log = finish(("python3", "main.py"), folder=tmp_path)
    assert log.strip() == "/submission hello"


def test_the_channel_works(start: Start, tmp_path: Path) -> None:
    code = (
        "import os, socket\ns = socket.socket(socket.AF_UNIX); s.connect(os.environ['TOUCHSTONE_SOCKET'])\n"
        "s.sendall(b'hello'); print(s.recv(100))"
    )
    with Listener(tmp_path) as listener:
        sandbox = start(code, channel=listener.folder)
        connection = listener.accept(10)
        assert connection is not None
        with connection:
            connection.settimeout(5)
            assert connection.recv(100) == b"hello"
            connection.sendall(b"bye")
        assert sandbox.wait(10) == Exit(0)
    assert sandbox.logs().strip() == b"b'bye'"


def test_peak_memory_is_measured(start: Start) -> None:
    sandbox = start(
        "import time\nx = bytearray(60 * 2**20); x[::4096] = b'x' * len(x[::4096])\n"
        "print('up', flush=True); time.sleep(30)"
    )
    _wait_for(lambda: b"up" in sandbox.logs())
    _wait_for(lambda: (sandbox.peak_memory() or 0) >= 60 * MIB)
    assert sandbox.poll() is None
    sandbox.close()
    peak = sandbox.peak_memory()
    assert peak is not None
    assert 60 * MIB <= peak <= 128 * MIB


def test_close_leaves_nothing(start: Start, engine: Engine) -> None:
    marker = f"marker-{os.getpid()}-{time.monotonic_ns()}"
    code = "import os, time; os.fork() or os.setsid(); os.fork(); time.sleep(60)"
    sandbox = start(("python3", "-c", code, marker))
    _wait_for(lambda: len(_processes(marker)) >= 4)
    sandbox.close()
    sandbox.close()
    _wait_for(lambda: not _processes(marker))
    assert engine.reap([]) == []


def test_reap_spares_the_runs_that_are_kept(engine: Engine, start: Start, run_name: str) -> None:
    limits = Limits(memory=64 * MIB, cpus=1.0, seconds=30, tmp=MIB)
    argv = ("python3", "-c", "import time; time.sleep(60)")
    kept = engine.start(Job(run=run_name, attempt=1, limits=limits, argv=argv))
    lost = engine.start(Job(run=f"{run_name}-lost", attempt=1, limits=limits, argv=argv))
    try:
        removed = engine.reap([run_name])
        if not getattr(engine, "_cgroups", True):  # such a sandbox ends with its worker: there is nothing to reap
            assert removed == []
            return
        assert len(removed) == 1
        assert "lost" in removed[0]
        assert kept.poll() is None
        assert lost.wait(5) is not None
    finally:
        kept.close()
        lost.close()


def test_a_command_that_does_not_exist_is_the_job_s_fault(start: Start, engine: Engine) -> None:
    try:
        ended = start(("/no/such/program",)).wait(10)
    except (ParticipantFault, RetryableError) as error:
        # Docker refuses at start. The image here is the platform's own, so it may call it its own fault.
        assert "no such" in error.message.lower()  # noqa: PT017
        return
    assert ended is not None
    assert ended.code == 127


def test_the_self_test_passes(engine: Engine) -> None:
    if engine.name == "docker" and not engine.has_image("touchstone/runtime:1"):
        pytest.skip("no runtime image; run `make image-base`")
    report = engine.self_test()
    assert report.problems == ()
    assert report.ok
    assert report.version
    assert "seccomp" in report.isolation


def _wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def _processes(marker: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if line.endswith(marker.encode() + b"\0") and b"bwrap" not in line and b"docker-init" not in line:
                found.append(entry.name)
    return found
