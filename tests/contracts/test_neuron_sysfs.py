"""The agent reads the emulated driver's tree from disk, in either layout."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from agent.inputs.neuron_sysfs import NeuronSysfsInput
from emulator.devices.catalogue import Devices
from emulator.devices.neuron_sysfs import SysfsLayout
from emulator.power_minutes import PowerMinute
from emulator.sysfs_tree import SysfsTree
from fleet.clock import ManualClock
from tests.emulator.devices.builders import HandHall

SLED = "h1/us01/r2/s07"
REPAIRABLE, POWER = "hbm_ecc_repairable_uncorrected_total", "power_utilization_ratio"


class Bench:
    """A hall, the tree of one of its sleds on disk, and an agent's input on that tree."""

    def __init__(self, root: Path) -> None:
        self.hall = HandHall()
        self.tree = SysfsTree(root)
        self.input = NeuronSysfsInput(root, chips=4)
        self._host = Devices(self.hall, ManualClock()).sled_host(SLED)

    def show(self, layout: SysfsLayout) -> None:
        self.tree.write(self._host.sysfs.files(layout))

    def set_repairable(self, *counts: int) -> None:
        ecc = self.hall.sled_readings(0).ecc
        self.hall.change_sled(ecc=replace(ecc, hbm_repairable_uncorrected=counts))


@pytest.mark.parametrize("layout", SysfsLayout)
def test_what_the_driver_shows_arrives(tmp_path: Path, layout: SysfsLayout) -> None:
    bench = Bench(tmp_path)
    minute = PowerMinute(
        at_unix_s=1_760_000_040, low_percent=1.5, high_percent=99.0, mean_percent=50.25
    )
    bench.hall.change_sled(power_minutes=(minute,) * 4)
    bench.set_repairable(1, 0, 65_535, 7)
    bench.show(layout)
    seen = bench.input.read(0.0)
    assert seen.errors == ()
    assert seen.counters == {(REPAIRABLE, chip): n for chip, n in enumerate((1, 0, 65_535, 7))}
    assert seen.values == {(POWER, chip): pytest.approx(0.5025) for chip in range(4)}


@pytest.mark.parametrize("layout", SysfsLayout)
def test_a_minute_that_is_not_there_yet_has_no_value(tmp_path: Path, layout: SysfsLayout) -> None:
    bench = Bench(tmp_path)
    bench.show(layout)
    seen = bench.input.read(0.0)
    assert all(math.isnan(seen.values[POWER, chip]) for chip in range(4))
    assert seen.errors == ()


def test_a_driver_that_is_replaced_is_found_at_its_new_place(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.set_repairable(2, 2, 2, 2)
    bench.show(SysfsLayout.OLD)
    bench.input.read(0.0)
    bench.set_repairable(1, 1, 1, 1)
    bench.show(SysfsLayout.NEW)
    assert bench.input.read(1.0).counters == {}
    # Its registers began anew: one more error each, since the two before.
    assert set(bench.input.read(2.0).counters.values()) == {3}


def test_a_sled_that_is_off_shows_nothing_and_that_is_no_error(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.show(SysfsLayout.OLD)
    bench.input.read(0.0)
    bench.hall.change_sled(powered=False)
    bench.show(SysfsLayout.OLD)
    gone = bench.input.read(1.0)
    assert (gone.values, gone.counters, gone.errors) == ({}, {}, ())
    bench.hall.change_sled(powered=True)
    bench.show(SysfsLayout.OLD)
    assert len(bench.input.read(200.0).counters) == 4
