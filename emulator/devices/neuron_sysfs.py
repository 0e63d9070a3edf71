"""The sysfs tree of the Neuron driver on a sled, as texts by path under `neuron_device/`.

Names and traps follow the driver's source and the AWS Neuron guide to sysfs: no corrected counts,
registers of 16 bits, 0 for what can not be read, power as percents of the last minute. Counters of
FLOP and of busy time are left out, since the world keeps none.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from emulator.devices.view import WorldView
from emulator.fabric import Fabric
from emulator.hbm.status import NrtStatus
from emulator.nitro import chip_serial
from emulator.power_minutes import PowerMinute
from emulator.readings import RunningJob, SledReadings


class SysfsLayout(StrEnum):
    OLD = "old"  # before driver 2.31
    NEW = "new"  # since driver 2.31: that nodes moved is known, where to is our guess


_MOVED: Final[Mapping[str, str]] = {
    "stats/hardware/": "hardware/errors/",
    "stats/power/": "hardware/power/",
    "info/architecture/": "architecture/",
}
"""Beginnings of paths below a device, as Layout.NEW has them: unconfirmed. It exists so that no
reader trusts a path."""
_STATUS: Final[Mapping[NrtStatus, str]] = {
    NrtStatus.HBM_UNCORRECTED: "hw_hbm_ue_error",
    NrtStatus.SRAM_UNCORRECTED: "hw_nc_ue_error",
    NrtStatus.HBM_REPAIRABLE: "hw_repairable_hbm_ue_error",
}
_ARCHITECTURES: Final[Mapping[str, tuple[str, str, str]]] = {
    "trainium": ("NDv2", "Trainium", "Trn1"),
    "trainium2": ("NDv3", "Trainium2", "Trn2"),
    "trainium3": ("NDv4", "Trainium3", "Trn3"),
}
"""`arch_type`, `device_name`, `instance_type`; those of Trainium3 continue the others."""


class NeuronSysfs:
    """The tree of one sled; empty where no Neuron device is, and when the sled is off."""

    def __init__(self, world: WorldView, row: int, fabric: Fabric) -> None:
        self._world = world
        self._row = row
        fleet_map = world.fleet_map
        fanout = fleet_map.ultraservers[int(fleet_map.ultraserver_of_sled[row])].fanout
        self._cores = fanout.cores_per_chip
        self._architecture = _ARCHITECTURES.get(fanout.device_type)
        first = int(fleet_map.first_chip_of_sled[row])
        self._sled_id = fleet_map.sled_ids[row]
        chips = range(int(fleet_map.chips_of_sled[row]))
        self._connected = [fabric.connected_to(first + chip) for chip in chips]

    def files(self, layout: SysfsLayout = SysfsLayout.OLD) -> dict[str, str]:
        """Texts by path, such as `neuron0/stats/hardware/mem_ecc_uncorrected`."""
        seen = self._world.sled_readings(self._row)
        if not seen.powered or self._architecture is None:
            return {}
        found = {}
        for chip in range(len(self._connected)):
            for path, text in self._device(chip, seen, self._architecture).items():
                place = path if layout is SysfsLayout.OLD else _moved(path)
                found[f"neuron{chip}/{place}"] = f"{text}\n"
        return found

    def _device(
        self, chip: int, seen: SledReadings, architecture: tuple[str, str, str]
    ) -> dict[str, str]:
        arch_type, device_name, instance_type = architecture
        return {
            "core_count": str(self._cores),
            "connected_devices": ", ".join(map(str, self._connected[chip])),
            "info/serial_number": chip_serial(f"{seen.board or self._sled_id}/c{chip}"),
            "info/architecture/arch_type": arch_type,
            "info/architecture/device_name": device_name,
            "info/architecture/instance_type": instance_type,
            "stats/hardware/mem_ecc_uncorrected": str(seen.ecc.hbm_uncorrected[chip]),
            "stats/hardware/mem_ecc_repairable_uncorrected": str(
                seen.ecc.hbm_repairable_uncorrected[chip]
            ),
            "stats/hardware/sram_ecc_uncorrected": str(seen.ecc.sram_uncorrected[chip]),
            "stats/power/utilization": _power(seen.power_minutes[chip]),
            **self._core_files(chip, seen),
        }

    def _core_files(self, chip: int, seen: SledReadings) -> dict[str, str]:
        jobs = [job for job in seen.jobs if chip in job.chips]
        statuses = _statuses(chip, seen, jobs)
        present = seen.device_memory_bytes[chip] // self._cores
        files = {}
        for core in range(self._cores):
            base = f"neuron_core{core}/stats"
            for name, total in statuses.items():
                files[f"{base}/status/{name}/total"] = str(total)
            files[f"{base}/memory_usage/device_mem/present"] = str(present)
        return files


def _statuses(chip: int, seen: SledReadings, jobs: list[RunningJob]) -> dict[str, int]:
    failed = {
        _STATUS[status]: totals[chip]
        for status, totals in seen.ecc.failed_total.items()
        if status in _STATUS
    }
    return {
        "success": sum(job.completed_total for job in jobs),
        "failure": sum(job.errors_total for job in jobs),
        **dict.fromkeys(_STATUS.values(), 0),
        **failed,
    }


def _power(minute: PowerMinute) -> str:
    """`STATUS,epoch_s,min,max,avg`."""
    status = "POWER_STATUS_VALID" if minute.valid else "POWER_STATUS_NO_DATA"
    percents = (minute.low_percent, minute.high_percent, minute.mean_percent)
    return ",".join([status, str(minute.at_unix_s), *(f"{percent:.2f}" for percent in percents)])


def _moved(path: str) -> str:
    for old, new in _MOVED.items():
        if path.startswith(old):
            return new + path.removeprefix(old)
    return path
