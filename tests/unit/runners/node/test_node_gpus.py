"""Devices are leased one a run, whoever dies. `nvidia-smi` is a script on PATH that answers like the real one."""

import json
import multiprocessing
import os
import signal
import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from runners.contract import GpuInfo
from runners.errors import RetryableError
from runners.node.gpus import Found, discover, lease, users
from runners.node.locks import host_lock

A, B = "GPU-aaaaaaaa-0000-0000-0000-000000000001", "GPU-bbbbbbbb-0000-0000-0000-000000000002"


@pytest.fixture
def nvidia(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes the fake: `gpus` and `apps` are what it prints, `status` how it ends."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def install(gpus: str = f"{A}, NVIDIA H200, 143771\n{B}, Tesla, V100, 16384\n", apps: str = "", status: int = 0):
        (folder / "gpus").write_text(gpus)
        (folder / "apps").write_text(apps)
        script = folder / "nvidia-smi"
        script.write_text(
            "#!/bin/sh\n"
            f'case "$1 $2" in\n'
            f'"--query-gpu=uuid,name,memory.total --format=csv,noheader,nounits") cat {folder}/gpus;;\n'
            f'"--query-compute-apps=gpu_uuid,pid --format=csv,noheader,nounits") cat {folder}/apps;;\n'
            '*) echo "unknown option $*" >&2; exit 2;;\n'
            f"esac\n[ {status} = 0 ] || echo 'No devices were found' >&2\nexit {status}\n"
        )
        script.chmod(0o755)

    return install


def test_a_machine_without_a_driver_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert discover({}) == Found()
    assert "nvidia-smi is not there" in discover({"TOUCHSTONE_GPUS": A}).problem
    assert discover({"TOUCHSTONE_GPUS": "none"}) == Found()


def test_devices_are_told_by_uuid_name_and_memory(nvidia) -> None:
    nvidia()

    found = discover({})

    assert found.problem == ""
    assert [(g.uuid, g.name, g.memory) for g in found.gpus] == [
        (A, "NVIDIA H200", 143771 * 2**20), (B, "Tesla, V100", 16384 * 2**20),
    ]  # fmt: skip


def test_an_operator_lends_some_of_them(nvidia) -> None:
    nvidia()

    assert [g.uuid for g in discover({"TOUCHSTONE_GPUS": B}).gpus] == [B]
    assert discover({"TOUCHSTONE_GPUS": "none"}).gpus == ()
    lost = discover({"TOUCHSTONE_GPUS": f"{A}, GPU-lost"})
    assert [g.uuid for g in lost.gpus] == [A]
    assert "GPU-lost" in lost.problem


@pytest.mark.parametrize(
    ("given", "words"),
    [({"status": 9}, "status 9: No devices were found"), ({"gpus": "No devices\n"}, "which is not uuid")],
)
def test_a_broken_driver_is_a_problem_and_not_a_node_without_devices(nvidia, given, words) -> None:
    nvidia(**given)

    found = discover({})

    assert found.gpus == ()
    assert words in found.problem


def _holder(folder: Path, gpus, pipe) -> None:
    held = lease(folder, gpus)
    pipe.send(None if held is None else held.uuid)
    signal.pause()


def test_two_devices_three_processes_and_never_shared(nvidia, tmp_path: Path) -> None:
    nvidia()
    context, gpus = multiprocessing.get_context("fork"), discover({}).gpus
    processes = []

    def start() -> str | None:
        ours, theirs = context.Pipe()
        process = context.Process(target=_holder, args=(tmp_path / "locks", gpus, theirs))
        process.start()
        processes.append(process)
        return ours.recv()

    try:
        assert sorted(filter(None, (first := start(), second := start(), start()))) == [A, B]
        assert first != second
        os.kill(processes[0].pid, signal.SIGKILL)  # its lease dies with it
        processes[0].join()
        assert start() == first
        assert start() is None
    finally:
        for process in processes:
            process.kill()
            process.join()


def test_a_device_that_somebody_else_uses_is_left_alone(nvidia, tmp_path: Path) -> None:
    nvidia(apps=f"{A}, 4711\n{A}, 4712\n")

    assert users(A) == ["4711", "4712"]
    held = lease(tmp_path, discover({}).gpus)
    assert held is not None
    assert held.uuid == B
    assert lease(tmp_path, discover({}).gpus) is None
    nvidia()
    again = lease(tmp_path, discover({}).gpus)
    assert again is not None
    assert again.uuid == A
    held.close()
    again.close()


def test_without_knowing_who_uses_a_device_it_is_not_leased(nvidia, tmp_path: Path) -> None:
    nvidia()
    gpus = discover({}).gpus
    nvidia(status=1)

    with pytest.raises(RetryableError) as caught:
        lease(tmp_path, gpus)

    assert caught.value.code == "gpu_broken"
    nvidia()
    held = lease(tmp_path, gpus)
    assert held is not None
    held.close()


def test_a_lease_is_json_for_nobody(nvidia, tmp_path: Path) -> None:
    """The files hold nothing: only their locks count."""
    nvidia()
    held = lease(tmp_path, discover({}).gpus)
    assert held is not None
    assert json.dumps([path.read_text() for path in tmp_path.glob("*.lock")]) == '[""]'
    held.close()


def test_devices_of_a_cluster_are_leased_without_asking_this_machine(tmp_path: Path) -> None:
    gpus = (GpuInfo(uuid="slurm-0"), GpuInfo(uuid="slurm-1"))

    held = [lease(tmp_path, gpus, ours=False) for _ in range(3)]

    assert [one.uuid if one else None for one in held] == ["slurm-0", "slurm-1", None]
    for one in held:
        if one is not None:
            one.close()


def test_two_nodes_of_a_host_never_lease_the_same_device(nvidia, tmp_path: Path) -> None:
    nvidia()
    gpus, shared = discover({}).gpus, tmp_path / "host"

    held = [lease(tmp_path / node, gpus, shared=shared) for node in ("one", "two", "three")]

    assert [one.uuid if one else None for one in held] == [A, B, None]
    assert stat.S_IMODE(shared.stat().st_mode) == 0o700
    held[0].close()
    again = lease(tmp_path / "three", gpus, shared=shared)
    assert again is not None
    assert again.uuid == A
    again.close()
    held[1].close()


def _link(folder: Path) -> None:
    folder.parent.joinpath("elsewhere").mkdir()
    folder.symlink_to(folder.parent / "elsewhere")


def _open_to_all(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o1777)


def _linked_lock(folder: Path) -> None:
    folder.mkdir()
    folder.joinpath(f"{A}.lock").symlink_to(folder.parent / "target")


def _pipe(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / f"{A}.lock")


def _elsewhere(folder: Path) -> None:
    folder.parent.joinpath("gone").mkdir()
    folder.write_text("a file")


@pytest.mark.parametrize("trap", [_link, _open_to_all, _linked_lock, _pipe, _elsewhere])
def test_a_folder_that_others_could_have_made_is_not_used_and_the_log_says_why(nvidia, tmp_path: Path, trap) -> None:
    nvidia()
    gpus, shared = discover({}).gpus[:1], tmp_path / "host"
    trap(shared)
    with capture_logs() as logs:
        one = lease(tmp_path / "one", gpus, shared=shared)
        assert lease(tmp_path / "one", gpus, shared=shared) is None  # the node's own lock holds as ever
    assert one is not None
    one.close()
    again = lease(tmp_path / "one", gpus, shared=shared)
    assert again is not None
    again.close()

    (line,) = [line for line in logs if line["log_level"] == "error"]
    assert line["folder"] == str(shared)
    assert str(shared) in line["error"] or A in line["error"]
    assert "TOUCHSTONE_GPU_LOCKS" in line["next"]
    assert not (tmp_path / "target").exists()
    assert list(tmp_path.glob("elsewhere/*")) == []


def test_a_folder_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "host"
    host_lock(shared, "a").close()
    owner = os.geteuid()
    real = os.fstat

    def foreign(handle: int) -> os.stat_result:
        found = list(real(handle))
        found[stat.ST_UID] = owner + 4711
        return os.stat_result(found)

    monkeypatch.setattr(os, "fstat", foreign)
    with pytest.raises(PermissionError, match="neither root nor"):
        host_lock(shared, "a")


def test_a_group_may_share_a_folder(tmp_path: Path) -> None:
    shared = tmp_path / "host"
    shared.mkdir()
    shared.chmod(0o2770)
    held = host_lock(shared, "a")
    with pytest.raises(BlockingIOError):
        host_lock(shared, "a")
    held.close()
    host_lock(shared, "a").close()
