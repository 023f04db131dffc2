"""One suite for every engine: what a hostile or broken process may do, and how its end is told.

Where engines differ, `traits` says how: an expectation of its own, never a skip.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from enginekit import Traits, wait_for

from runners.channel.listener import Listener
from runners.engines.base import Engine, Exit, Job, Limits, Sandbox
from runners.engines.docker import RUNTIME_IMAGE
from runners.errors import ParticipantFault, RetryableError
from tests.conftest import need

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


def test_kill_ends_a_process_that_ignores_signals(start: Start) -> None:
    code = (
        "import signal, time\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\n"
        "print('up', flush=True)\ntime.sleep(60)"
    )
    sandbox = start(code)
    wait_for(lambda: b"up" in sandbox.logs())
    began = time.monotonic()
    sandbox.kill()
    sandbox.kill()
    ended = sandbox.poll()
    assert ended is not None
    assert ended.killed
    assert not ended.timeout
    assert time.monotonic() - began < 5


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


def test_nothing_in_tmp_can_be_run(finish: Finish, traits: Traits) -> None:
    code = (
        "import os, subprocess\n"
        "for place in ('/tmp', '/dev/shm'):\n"
        "    with open(place + '/x', 'w') as f: f.write('#!/bin/sh\\necho ran')\n"
        "    os.chmod(place + '/x', 0o755)\n"
        "    try: subprocess.run([place + '/x'])\n"
        "    except PermissionError: print('refused')"
    )
    _, log = finish(code)
    assert log.split() == ["refused" if traits.noexec else "ran"] * 2


def test_a_file_with_the_set_user_id_bit_gives_no_rights(finish: Finish, tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_bytes(Path("/usr/bin/id").read_bytes())
    tool.chmod(0o4755)  # of root, where the tests run as root
    tmp_path.chmod(0o755)
    _, log = finish(("/submission/tool", "-u"), folder=tmp_path)
    assert log.strip() == "65534"


def test_the_channel_s_folder_cannot_be_changed(finish: Finish, tmp_path: Path) -> None:
    code = (
        "import os, socket\nd = '/run/touchstone/'\nmine = socket.socket(socket.AF_UNIX)\n"
        "open('/tmp/own', 'w').close()\n"
        "tries = dict(write=lambda: open(d + 'x', 'w'), remove=lambda: os.unlink(d + 'channel.sock'),\n"
        "  rename=lambda: os.rename(d + 'channel.sock', d + 'y'), folder=lambda: os.mkdir(d + 'z'),\n"
        "  bind=lambda: mine.bind(d + 'other.sock'), link=lambda: os.symlink('/etc/passwd', d + 'l'),\n"
        "  hard=lambda: os.link('/tmp/own', d + 'h'), mode=lambda: os.chmod(d + 'channel.sock', 0),\n"
        "  fifo=lambda: os.mkfifo(d + 'f'), replace=lambda: os.replace('/tmp/own', d + 'channel.sock'))\n"
        "done = []\n"
        "for name, act in tries.items():\n"
        "    try: act(); done.append(name)\n"
        "    except OSError: pass\n"
        "print(done, sorted(os.listdir(d)))"
    )
    with Listener(tmp_path) as listener:
        listener.folder.chmod(0o777)  # not its mode alone must hold
        _, log = finish(code, channel=listener.folder)
        assert log.strip() == "[] ['channel.sock']"
        assert [entry.name for entry in listener.folder.iterdir()] == ["channel.sock"]


def test_a_device_cannot_be_made_or_opened(finish: Finish) -> None:
    code = (
        "import os, stat\nfound = []\n"
        # In gVisor a node can be made, but leads to no device of the host.
        "for name, kind, major, minor in (('mem', stat.S_IFCHR, 1, 1), ('disk', stat.S_IFBLK, 254, 0),\n"
        "                                 ('fuse', stat.S_IFCHR, 10, 229), ('kvm', stat.S_IFCHR, 10, 232)):\n"
        "    try: os.mknod('/tmp/' + name, 0o666 | kind, os.makedev(major, minor))\n"
        "    except OSError: continue\n"
        "    try: open('/tmp/' + name, 'rb+').close(); found.append(name)\n"
        "    except OSError: pass\n"
        "for path in ('/dev/mem', '/dev/kmsg', '/dev/vda', '/dev/sda', '/dev/fuse', '/dev/kvm', '/proc/kcore',\n"
        "             '/proc/sysrq-trigger', '/sys/kernel/uevent_helper'):\n"
        "    try: open(path, 'rb+').close(); found.append(path)\n"
        "    except OSError: pass\n"
        "print(found)"
    )
    _, log = finish(code)
    assert log.strip() == "[]"


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
        "host:[",  # gVisor's name for the three standard streams
    )
    assert seen
    assert [target for target in seen.values() if not target.startswith(allowed)] == []


def test_it_is_nobody_and_has_no_rights(finish: Finish, traits: Traits) -> None:
    code = (
        "import ctypes, json, os\n"
        "s = dict(l.split(':\\t', 1) for l in open('/proc/self/status').read().splitlines() if ':\\t' in l)\n"
        "bits = [int(s[key], 16) for key in ('CapEff', 'CapPrm', 'CapBnd', 'Seccomp')]\n"
        "print(json.dumps([os.getuid(), os.getgid(), sorted(set(os.getgroups()) - {65534}), bits,\n"
        "  ctypes.CDLL(None).prctl(39, 0, 0, 0, 0)]))"  # PR_GET_NO_NEW_PRIVS
    )
    _, log = finish(code)
    seccomp = 0 if traits.own_kernel else 2  # gVisor's filter is on its own processes
    assert json.loads(log) == [65534, 65534, [], [0, 0, 0, seccomp], 1]


def test_it_does_not_see_the_host_s_kernel_where_it_has_one_of_its_own(finish: Finish, traits: Traits) -> None:
    _, log = finish("import os; print(os.uname().release)")
    assert (log.strip() != os.uname().release) is traits.own_kernel


def test_dangerous_system_calls_are_refused(finish: Finish, traits: Traits) -> None:
    code = (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "calls = dict(unshare_user=(272, 0x10000000), bpf=(321, 0, 0, 0), userfaultfd=(323, 0), keyctl=(250, 0, 0),\n"
        "  mount=(165, b'none', b'/tmp', b'tmpfs', 0, 0), perf=(298, 0, 0, -1, -1, 0), ptrace=(101, 0, 0, 0, 0),\n"
        "  io_uring=(425, 8, 0), open_by_handle=(304, -1, 0, 0), init_module=(175, 0, 0, b''))\n"
        "calls.pop('ptrace') if os.path.exists('/.dockerenv') else None\n"
        "print([name for name, args in calls.items() if libc.syscall(*args) >= 0])"
    )
    _, log = finish(code)
    # A namespace of gVisor's own kernel is none of the host's, and mounts stay refused in it.
    assert log.strip() == ("['unshare_user']" if traits.own_kernel else "[]")


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


def test_close_leaves_nothing(start: Start, engine: Engine, traits: Traits, run_name: str) -> None:
    marker = f"marker-{os.getpid()}-{time.monotonic_ns()}"
    code = "import os, time; os.fork() or os.setsid(); os.fork(); time.sleep(60)"
    sandbox = start(("python3", "-c", code, marker))
    # gVisor's processes are not the host's: its own two carry the container's id.
    marker, several = (sandbox._id, 2) if traits.own_kernel else (marker, 4)  # type: ignore[attr-defined]
    wait_for(lambda: len(_processes(marker)) >= several)
    sandbox.close()
    sandbox.close()
    wait_for(lambda: not _processes(marker))
    assert [name for name in engine.reap([]) if run_name in name] == []


def test_reap_spares_the_runs_that_are_kept(engine: Engine, traits: Traits, run_name: str) -> None:
    limits = Limits(memory=128 * MIB, cpus=1.0, seconds=30, tmp=MIB)
    argv = ("python3", "-c", "import time; time.sleep(60)")
    kept = engine.start(Job(run=run_name, attempt=1, limits=limits, argv=argv))
    lost = engine.start(Job(run=f"{run_name}-lost", attempt=1, limits=limits, argv=argv))
    try:
        removed = [name for name in engine.reap([run_name]) if run_name in name]
        if not traits.outlives:  # such a sandbox ends with its worker: there is nothing to reap
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


def test_the_self_test_passes_and_names_the_isolation(engine: Engine, engine_name: str) -> None:
    present = engine.name != "docker" or engine.has_image(RUNTIME_IMAGE)
    need(present, f"the image {RUNTIME_IMAGE} (`make image-base`)", switch="REQUIRE_DOCKER")
    report = engine.self_test()
    assert report.problems == ()
    assert report.ok
    assert report.version
    words = {
        "docker-runsc": r"gVisor \(runsc \d.*\)", "docker-runc": r"runc \d.*, seccomp.*",
        "bubblewrap": "bubblewrap: namespaces, cgroups, seccomp",
        "bubblewrap-rlimits": "bubblewrap: namespaces, seccomp",
    }  # fmt: skip
    assert re.fullmatch(words[engine_name], report.isolation)
    assert report.not_enforced, "every engine leaves something open, and says what"


def _processes(marker: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            ours = line.startswith(b"runsc-") or line.endswith(b"\0" + marker.encode() + b"\0")
            if ours and marker.encode() in line and b"bwrap" not in line and b"docker-init" not in line:
                found.append(entry.name)
    return found
