"""Energy from counters, on a made-up tree of powercap; measured and estimated never meet."""

import shutil
import subprocess

import numpy as np
import pytest

from runners.measure import measure
from runners.metrics.efficiency import counters, energy
from runners.metrics.efficiency.counters import Cards, Counters, NoCounter, Reading, read_rapl
from runners.registry import get_metric
from tests.factories.runner_models import Clock, TimedModel, model_context

ZONES = {
    "intel-rapl:0": "package-0",
    "intel-rapl:0:0": "core",
    "intel-rapl:0:1": "dram",
    "intel-rapl:1": "package-1",
    "intel-rapl:2": "psys",
}


class Powercap:
    """Counters as Linux shows them; each has a number of watts and a round of `wrap` joules."""

    def __init__(self, root, *, wrap=1000.0):
        self.root, self.wrap, self.joules = root, wrap, dict.fromkeys(ZONES, 990.0)
        for zone, name in ZONES.items():
            (root / zone).mkdir(parents=True)
            (root / zone / "name").write_text(f"{name}\n")
            (root / zone / "max_energy_range_uj").write_text(f"{wrap * 1e6:.0f}\n")
        (root / "intel-rapl").mkdir()  # the control type itself has no counter
        self.spend(0.0, {})

    def spend(self, seconds, watts):
        for zone, name in ZONES.items():
            self.joules[zone] += seconds * watts.get(name, 0.0)
            (self.root / zone / "energy_uj").write_text(f"{self.joules[zone] % self.wrap * 1e6:.0f}\n")


@pytest.fixture
def no_cards(monkeypatch):
    monkeypatch.setattr(counters, "NVML", "libno-such-library.so.9")


@pytest.fixture
def machine(tmp_path, monkeypatch, no_cards):
    """Two packages of 30 and 10 W when busy, memory of 5 W; a quarter of that when idle."""
    tree, clock = Powercap(tmp_path / "powercap"), Clock()
    busy = {"package-0": 30.0, "package-1": 10.0, "dram": 5.0, "core": 25.0, "psys": 80.0}

    class Model(TimedModel):
        def predict(self, x):
            answer = super().predict(x)
            tree.spend(self.cost(len(x)), busy)
            return answer

    def sleep(seconds):
        clock.now += seconds
        tree.spend(seconds, {name: watts / 4 for name, watts in busy.items()})

    monkeypatch.setattr(counters, "POWERCAP", tree.root)
    monkeypatch.setattr(energy, "sleep", sleep)
    model = Model(clock, lambda n: 0.01 * n)
    ctx = model_context(model, np.zeros((20, 3), dtype=np.float32), [0, 1] * 10, clock=clock)
    return ctx, tree


def found(ctx, **parameters):
    return {r.key.removeprefix("m").lstrip("."): r for r in measure("efficiency.energy", "m", parameters, ctx)}


def test_measured_by_hand(machine):
    """10 ms an item at 45 W are 0.45 J; parts of a package and the whole machine are not counted again."""
    result = found(machine[0], pue=1.5, grid=400)
    assert result[""].value == pytest.approx(0.45 * 1.5, rel=1e-4)
    assert (result[""].unit, result[""].direction) == ("J", "minimise")
    assert result[""].details["measured"] is True
    assert sum(result[""].details["idle_watts"].values()) == pytest.approx(45 / 4, rel=1e-4)
    assert set(result[""].details["counters"]) == {
        "intel-rapl:0 package-0", "intel-rapl:0:1 dram", "intel-rapl:1 package-1",
    }  # fmt: skip
    # 1000 items are 675 J, at 400 g for 3.6 MJ.
    assert result["co2e"].value == pytest.approx(675 * 400 / 3.6e6, rel=1e-4)
    assert result[""].low <= result[""].value <= result[""].high
    assert result["estimated"].state == result["estimated_co2e"].state == "undefined"


def test_counters_begin_again_at_zero(machine):
    """The counters stand ten joules before their end when the run begins, and pass it."""
    ctx, tree = machine
    found(ctx)
    assert tree.joules["intel-rapl:0"] > 1000
    assert Reading(990.0, 1000.0).until(Reading(15.0, 1000.0)) == pytest.approx(25.0)
    assert Reading(15.0, 1000.0).until(Reading(20.0, 1000.0)) == 5.0


def test_without_counters_nothing_is_measured_and_estimates_stay_apart(machine):
    ctx, tree = machine
    shutil.rmtree(tree.root)
    tree.spend = lambda *_: None
    result = found(ctx, watts=20, grid=360)
    assert (result[""].value, result[""].state) == (None, "undefined")
    assert "virtual machines have none" in result[""].reason
    assert "graphics cards" in result[""].reason
    assert result["co2e"].value is None
    assert result["estimated"].value == pytest.approx(0.01 * 20)
    assert result["estimated_co2e"].value == pytest.approx(1000 * 0.2 * 360 / 3.6e6)
    assert result["estimated"].details["estimated"] is True


def test_nothing_can_be_ranked_by_an_estimate():
    columns = {c.key: c.direction for c in get_metric("efficiency.energy").columns}
    assert columns == {"": "minimise", "co2e": "minimise", "estimated": "none", "estimated_co2e": "none"}


def test_measured_and_estimated_are_two_results(machine):
    result = found(machine[0], watts=20)
    assert (result[""].value, result["estimated"].value) == pytest.approx((0.45, 0.2), rel=1e-4)
    assert "no `grid`" in result["co2e"].reason


def test_counters_that_stand_still_measure_nothing(machine):
    ctx, tree = machine
    tree.spend = lambda *_: None
    assert "stood still" in found(ctx)[""].reason


def test_refused_counters_say_so(machine, monkeypatch):
    """Made up, for root may read everything."""
    real = type(machine[1].root).read_text

    def read_text(path, **more):
        if path.name == "energy_uj":
            raise PermissionError
        return real(path, **more)

    monkeypatch.setattr(type(machine[1].root), "read_text", read_text)
    with pytest.raises(NoCounter, match="root only"):
        read_rapl()


def test_memory_that_cannot_be_read_is_left_out_and_a_package_is_not(machine):
    (machine[1].root / "intel-rapl:0:1" / "max_energy_range_uj").unlink()
    assert list(read_rapl()) == ["intel-rapl:0 package-0", "intel-rapl:1 package-1"]
    (machine[1].root / "intel-rapl:1" / "energy_uj").write_text("unknown\n")
    with pytest.raises(NoCounter, match="intel-rapl:1 cannot be read"):
        read_rapl()


@pytest.mark.parametrize(("readable", "whole"), [(50, True), (15, False)])
def test_a_counter_that_is_lost_meanwhile_takes_its_windows_with_it(machine, readable, whole):
    """Memory's 5 W of 45 are gone after some answers: the sum without them would be too low."""
    ctx, tree = machine
    plain, left = tree.spend, iter(range(readable))

    def spend(seconds, watts):
        plain(seconds, watts)
        if next(left, None) is None:
            (tree.root / "intel-rapl:0:1" / "energy_uj").write_text("")

    tree.spend = spend
    result = found(ctx, windows=16, seconds=0.5)[""]
    if whole:
        assert result.value == pytest.approx(0.45, rel=1e-3)
        assert 6 <= result.n < 16
    else:
        assert (result.value, result.state) == (None, "undefined")
        assert "6 are needed" in result.reason


NVML = """
#include <string.h>
static unsigned long long spent = 1000;
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **card) { *card = (void *)(unsigned long)(i + 1); return 0; }
int nvmlDeviceGetUUID(void *card, char *out, unsigned n) { strcpy(out, "GPU-a"); return card == (void *)1 ? 0 : 3; }
int nvmlDeviceGetTotalEnergyConsumption(void *card, unsigned long long *out) { *out = spent += 500; return 0; }
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler to make a driver of")
def test_graphics_cards_by_their_driver(tmp_path, monkeypatch):
    (tmp_path / "nvml.c").write_text(NVML)
    library = tmp_path / "libnvml.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "nvml.c"], check=True)
    cards = Cards(str(library))
    assert cards.read() == {"GPU-a": Reading(1.5)}
    assert cards.read() == {"GPU-a": Reading(2.0)}
    cards.close()
    monkeypatch.setattr(counters, "NVML", str(library))
    monkeypatch.setattr(counters, "POWERCAP", tmp_path / "none")
    with Counters() as all_of_them:
        assert set(all_of_them.read()) == {"GPU-a"}
        assert len(all_of_them.lacking) == 1
