"""Energy counters of the machine: processors by RAPL (powercap), graphics cards by NVML."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: Where Linux shows the counters of the processors.
POWERCAP = Path("/sys/class/powercap")
#: The library of the graphics cards' driver.
NVML = "libnvidia-ml.so.1"


class NoCounter(Exception):
    """There is nothing to read; the text says why."""


@dataclass(frozen=True)
class Reading:
    """What a counter showed: joules, and the joules at which it begins again at zero (None: never)."""

    joules: float
    wraps_at: float | None = None

    def until(self, later: Reading) -> float:
        """Joules between two readings that are less than one round apart."""
        spent = later.joules - self.joules
        return spent + self.wraps_at if spent < 0 and self.wraps_at is not None else spent


def read_rapl(root: Path | None = None) -> dict[str, Reading]:
    """Processors, and memory where it has a counter of its own.

    Zones inside a package (core, uncore) are part of it, and `psys` is all of the machine: both would count twice.

    Raises:
        NoCounter: the machine has none (as virtual machines), or that of a package cannot be read: the sum of the
            others would be too low without anybody noticing.
    """
    root = root or POWERCAP
    found: dict[str, Reading] = {}
    for zone in sorted(root.glob("*rapl:*")):
        try:
            name = (zone / "name").read_text(encoding="utf-8").strip()
        except OSError:
            continue
        if not name.startswith(("package", "dram")):
            continue
        try:
            energy = int((zone / "energy_uj").read_text(encoding="utf-8"))
            limit = int((zone / "max_energy_range_uj").read_text(encoding="utf-8"))
        except PermissionError as error:
            raise NoCounter("the processors' energy counters may be read by root only") from error
        except (OSError, ValueError) as error:
            if name.startswith("dram"):  # some machines show one and cannot read it
                continue
            raise NoCounter(f"the processors' energy counter {zone.name} cannot be read") from error
        found[f"{zone.name} {name}"] = Reading(energy / 1e6, limit / 1e6)
    if not found:
        raise NoCounter("the machine has no energy counters of its processors (virtual machines have none)")
    return found


class Cards:
    """Graphics cards by NVML, held open while they are read: to begin takes longer than to read. Close it.

    Raises:
        NoCounter: there is no driver, or it does not answer.
    """

    def __init__(self, library: str | None = None) -> None:
        try:
            self._nvml = ctypes.CDLL(library or NVML)
        except OSError as error:
            raise NoCounter("the machine has no driver of graphics cards") from error
        if self._nvml.nvmlInit_v2() != 0:
            raise NoCounter("the driver of the graphics cards does not answer")

    def close(self) -> None:
        """Let go of the driver."""
        self._nvml.nvmlShutdown()

    def read(self) -> dict[str, Reading]:
        """Cards by UUID, in joules since their driver was loaded. Raises `NoCounter` where none counts."""
        number = ctypes.c_uint()
        found: dict[str, Reading] = {}
        if self._nvml.nvmlDeviceGetCount_v2(ctypes.byref(number)) == 0:
            for index in range(number.value):
                card, spent, uuid = ctypes.c_void_p(), ctypes.c_ulonglong(), ctypes.create_string_buffer(96)
                known = (
                    self._nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(card)) == 0
                    and self._nvml.nvmlDeviceGetUUID(card, uuid, 96) == 0
                    and self._nvml.nvmlDeviceGetTotalEnergyConsumption(card, ctypes.byref(spent)) == 0
                )
                if known:
                    found[uuid.value.decode()] = Reading(spent.value / 1e3)
        if not found:
            raise NoCounter("no graphics card counts its energy")
        return found


class Counters:
    """All counters of the machine. `lacking` says what there is none of. Close it, or use it in a `with`."""

    def __init__(self) -> None:
        self.lacking: list[str] = []
        self._reads: list[Callable[[], dict[str, Reading]]] = []
        self._cards: Cards | None = None
        self._try(read_rapl)
        try:
            self._cards = Cards()
        except NoCounter as error:
            self.lacking.append(str(error))
        else:
            self._try(self._cards.read)

    def _try(self, read: Callable[[], dict[str, Reading]]) -> None:
        try:
            read()
        except NoCounter as error:
            self.lacking.append(str(error))
        else:
            self._reads.append(read)

    def read(self) -> dict[str, Reading]:
        """Every counter by name; one that was lost meanwhile is left out."""
        found: dict[str, Reading] = {}
        for read in self._reads:
            with contextlib.suppress(NoCounter):
                found |= read()
        return found

    def __enter__(self) -> Counters:
        return self

    def __exit__(self, *_: object) -> None:
        if self._cards is not None:
            self._cards.close()


def between(before: dict[str, Reading], after: dict[str, Reading]) -> dict[str, float]:
    """Joules by counter from one reading to the next, without those that were lost or began anew meanwhile."""
    spent = {name: reading.until(after[name]) for name, reading in before.items() if name in after}
    return {name: joules for name, joules in spent.items() if joules >= 0}
