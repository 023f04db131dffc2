"""The energy counters against the layout that Linux shows them in, and NVML against its header."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runners.metrics.efficiency import counters
from runners.metrics.efficiency.counters import NoCounter, Reading, between, read_rapl

#: Documentation/power/powercap/powercap.rst: zones hang below their control type; the class folder has links to all.
#: Two packages, one with dies of its own; memory; parts of a package; the whole machine; the same package by MMIO.
LAYOUT = {
    "intel-rapl/intel-rapl:0": ("package-0", 262143328850, 1_000_000),
    "intel-rapl/intel-rapl:0/intel-rapl:0:0": ("core", 262143328850, 700_000),
    "intel-rapl/intel-rapl:0/intel-rapl:0:1": ("uncore", 262143328850, 100_000),
    "intel-rapl/intel-rapl:0/intel-rapl:0:2": ("dram", 65712999613, 200_000),
    "intel-rapl/intel-rapl:1": ("package-1-die-0", 262143328850, 2_000_000),
    "intel-rapl/intel-rapl:2": ("psys", 262143328850, 9_000_000),
    "intel-rapl-mmio/intel-rapl-mmio:0": ("package-0", 262143328850, 1_000_000),
    "dtpm/dtpm:0": ("package", 1, 5_000_000),
}


@pytest.fixture
def powercap(tmp_path):
    """What /sys/class/powercap looks like, links and all."""
    devices, shown = tmp_path / "devices" / "virtual" / "powercap", tmp_path / "class" / "powercap"
    shown.mkdir(parents=True)
    for path, (name, limit, energy) in LAYOUT.items():
        folder = devices / path
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "max_energy_range_uj").write_text(f"{limit}\n")
        (folder / "energy_uj").write_text(f"{energy}\n")
        (folder / "enabled").write_text("0\n")
        (folder / "constraint_0_power_limit_uw").write_text("125000000\n")
    for path in (*LAYOUT, "intel-rapl", "intel-rapl-mmio", "dtpm"):
        (shown / Path(path).name).symlink_to(devices / path)
    return shown


def test_packages_and_memory_are_counted_once(powercap):
    found = read_rapl(powercap)
    assert {name: reading.joules for name, reading in found.items()} == {
        "intel-rapl:0 package-0": 1.0, "intel-rapl:0:2 dram": 0.2, "intel-rapl:1 package-1-die-0": 2.0,
    }  # fmt: skip
    assert found["intel-rapl:0:2 dram"].wraps_at == pytest.approx(65712.999613)


def test_each_counter_begins_again_at_its_own_end(powercap):
    """A package 1 J before its end and memory 0.5 J before its own, earlier one: 3 J and 2 J later."""
    ends = {"intel-rapl:0": 262143328850, "intel-rapl:0:2": 65712999613}
    (powercap / "intel-rapl:0" / "energy_uj").write_text(str(ends["intel-rapl:0"] - 1_000_000))
    (powercap / "intel-rapl:0:2" / "energy_uj").write_text(str(ends["intel-rapl:0:2"] - 500_000))
    before = read_rapl(powercap)
    (powercap / "intel-rapl:0" / "energy_uj").write_text("2000000")
    (powercap / "intel-rapl:0:2" / "energy_uj").write_text("1500000")
    spent = between(before, read_rapl(powercap))
    assert spent["intel-rapl:0 package-0"] == pytest.approx(3.0)
    assert spent["intel-rapl:0:2 dram"] == pytest.approx(2.0)
    assert spent["intel-rapl:1 package-1-die-0"] == 0.0


def test_a_package_that_is_refused_leaves_no_part_that_looks_like_all(powercap, monkeypatch):
    """Memory alone, or one package of two, would be a measurement that is too low without anybody noticing."""
    plain = Path.read_text

    def read_text(path, **more):
        if path.name == "energy_uj" and path.parent.name == "intel-rapl:1":
            raise PermissionError
        return plain(path, **more)

    monkeypatch.setattr(Path, "read_text", read_text)
    with pytest.raises(NoCounter, match="may be read by root only"):
        read_rapl(powercap)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_an_ordinary_user_is_told_so(powercap, tmp_path):
    """Since Linux 5.10 `energy_uj` is root's alone: the kernel itself refuses here, not a stand-in."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 1:
            folder.chmod(folder.stat().st_mode | 0o11)
    for file in tmp_path.glob("devices/**/energy_uj"):
        file.chmod(0o400)
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from runners.metrics.efficiency.counters import NoCounter, read_rapl\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try:\n    print(read_rapl(Path(sys.argv[1])))\nexcept NoCounter as error:\n    print(error)\n"
    )
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-c", code, str(powercap)], capture_output=True, text=True, cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout.strip() == "the processors' energy counters may be read by root only", done.stderr


def test_a_machine_without_powercap_says_so(tmp_path):
    with pytest.raises(NoCounter, match="virtual machines have none"):
        read_rapl(tmp_path / "nothing")


def test_a_counter_that_began_anew_is_left_out():
    """A driver of cards that was loaded anew counts from zero, and says no end that it went round."""
    before = {"card": Reading(5.0), "package": Reading(5.0, 10.0)}
    assert between(before, {"card": Reading(3.0), "package": Reading(3.0, 10.0)}) == {"package": 8.0}


#: nvml.h: what each function takes besides, in order. `unsigned int` by value passes as a C int.
HEADER = {
    "nvmlInit_v2": (), "nvmlShutdown": (), "nvmlDeviceGetCount_v2": ("unsigned int *",),
    "nvmlDeviceGetHandleByIndex_v2": ("unsigned int", "nvmlDevice_t *"),
    "nvmlDeviceGetUUID": ("nvmlDevice_t", "char *", "unsigned int"),
    "nvmlDeviceGetTotalEnergyConsumption": ("nvmlDevice_t", "unsigned long long *"),
}  # fmt: skip
POINTERS = {
    "unsigned int *": ctypes.c_uint, "nvmlDevice_t *": ctypes.c_void_p, "unsigned long long *": ctypes.c_ulonglong,
}  # fmt: skip


class Driver:
    """Takes the calls of a driver of one card, and holds each to the header."""

    def __init__(self):
        self.called = []

    def __getattr__(self, name):
        def function(*given):
            self.called.append(name)
            assert len(given) == len(HEADER[name]), name
            for value, kind in zip(given, HEADER[name], strict=True):
                if kind in POINTERS:
                    value._obj.value = 1 if kind != "unsigned long long *" else 2_500  # millijoules
                    assert type(value._obj) is POINTERS[kind], name
                elif kind == "nvmlDevice_t":
                    assert isinstance(value, ctypes.c_void_p)
                elif kind == "char *":
                    assert len(value) >= 96  # NVML_DEVICE_UUID_V2_BUFFER_SIZE
                    value.value = b"GPU-1"
                else:
                    assert isinstance(value, int)
            return 0

        return function


def test_nvml_is_called_as_its_header_says(monkeypatch):
    driver = Driver()
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: driver)
    cards = counters.Cards()
    assert cards.read() == {"GPU-1": Reading(2.5)}
    cards.close()
    assert set(driver.called) == set(HEADER)
