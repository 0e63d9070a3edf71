"""The sysfs tree of the Neuron driver on a sled, as texts by path under `neuron_device/`.

Names and traps follow the driver's source (neuron_sysfs_metrics.c) and the AWS Neuron guide to
sysfs: no corrected counts, registers of 16 bits, 0 for what can not be read, power as percents of
the last minute. Guide and source differ on what `present` of a counter is; here it is the share of
the processes that run now. `utilization_raw` and `pe_cntrs`, whose form is not published, are left
out.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from emulator.devices.runtime_memory import RuntimeMemory
from emulator.devices.view import WorldView
from emulator.fabric import Fabric
from emulator.hbm.status import NrtStatus
from emulator.nitro import chip_serial
from emulator.power_minutes import PowerMinute
from emulator.readings import SledReadings


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
_STATUSES: Final = (
    "success",
    "failure",
    "timeout",
    "exec_bad_input",
    "hw_error",
    "execute_completed_with_error",
    "execute_completed_with_num_error",
    "generic_error",
    "resource_error",
    "resource_nc_error",
    "execute_failed_to_queue",
    "invalid_error",
    "unsupported_neff_version",
    "oob_error",
    "hw_collectives_error",
    "hw_hbm_ue_error",
    "hw_nc_ue_error",
    "hw_dma_abort_error",
    "execute_sw_nq_overflow",
    "execute_sw_semaphore_error",
    "execute_sw_event_error",
    "execute_sw_psum_collision",
    "execute_sw_sequencer_fatal",
    "hw_repairable_hbm_ue_error",
)
_DEVICE_MEMORY: Final = (
    "model_code",
    "tensors",
    "constants",
    "model_shared_scratchpad",
    "runtime_memory",
    "driver_memory",
    "collectives",
    "nonshared_scratchpad",
    "notifications",
    "dma_rings",
    "uncategorized",
)
_HOST_MEMORY: Final = (
    "dma_buffers",
    "tensors",
    "constants",
    "application_memory",
    "driver_memory",
    "notifications",
    "dma_rings",
    "uncategorized",
)
_ARCHITECTURES: Final[Mapping[str, tuple[str, str, str]]] = {
    "trainium": ("NDv2", "Trainium", "Trn1"),
    "trainium2": ("NDv3", "Trainium2", "Trn2"),
    "trainium3": ("NDv4", "Trainium3", "Trn3"),
}
"""`arch_type`, `device_name`, `instance_type`; those of Trainium3 continue the others."""


class NeuronSysfs:
    """The tree of one sled; empty where no Neuron device is, and when the sled is off."""

    def __init__(
        self, world: WorldView, row: int, fabric: Fabric, memory: RuntimeMemory | None = None
    ) -> None:
        self._world = world
        self._memory = memory or RuntimeMemory()
        self._row = row
        fleet_map = world.fleet_map
        fanout = fleet_map.ultraservers[int(fleet_map.ultraserver_of_sled[row])].fanout
        self._cores = fanout.cores_per_chip
        self._architecture = _ARCHITECTURES.get(fanout.device_type)
        self._core_type = self._architecture[0].replace("ND", "NC") if self._architecture else ""
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
            **self._host_memory(chip, seen),
            **self._core_files(chip, seen),
        }

    def _host_memory(self, chip: int, seen: SledReadings) -> dict[str, str]:
        now = self._memory.of_host(seen.cores.host_memory_bytes[chip])
        peak = self._memory.of_host(seen.cores.host_memory_peak_bytes[chip])
        files: dict[str, str] = {}
        for category in _HOST_MEMORY:
            place = f"stats/memory_usage/host_mem/{category}"
            files |= _held(place, now.get(category, 0), peak.get(category, 0))
        return files

    def _core_files(self, chip: int, seen: SledReadings) -> dict[str, str]:
        """The chip's work and memory is spread over its cores, which work alike."""
        counts = self._core_counters(chip, seen)
        now_bytes = seen.device_memory_bytes[chip] // self._cores
        peak_bytes = max(now_bytes, seen.cores.device_memory_peak_bytes[chip] // self._cores)
        now, peak = self._memory.of_core(now_bytes), self._memory.of_core(peak_bytes)
        memory = _held("memory_usage/device_mem", now_bytes, peak_bytes)
        memory |= _held("memory_usage/host_mem", *self._host_of_core(chip, seen))
        for category in _DEVICE_MEMORY:
            place = f"memory_usage/device_mem/{category}"
            memory |= _held(place, now.get(category, 0), peak.get(category, 0))
        return {
            f"neuron_core{core}/{place}": text
            for core in range(self._cores)
            for place, text in (
                *((f"stats/{name}", text) for name, text in {**counts, **memory}.items()),
                ("info/architecture/arch_type", self._core_type),
            )
        }

    def _host_of_core(self, chip: int, seen: SledReadings) -> tuple[int, int]:
        cores = seen.cores
        now = cores.host_memory_bytes[chip] // self._cores
        return now, max(now, cores.host_memory_peak_bytes[chip] // self._cores)

    def _core_counters(self, chip: int, seen: SledReadings) -> dict[str, str]:
        jobs = [job for job in seen.jobs if chip in job.chips]
        completed = sum(job.completed_total for job in jobs)
        errors = sum(job.errors_total for job in jobs)
        cores, ecc = seen.cores, seen.ecc
        failed = {
            _STATUS[status]: totals[chip]
            for status, totals in ecc.failed_total.items()
            if status in _STATUS
        }
        failed["success"] = max(cores.completed_total[chip], completed)
        failed["failure"] = max(cores.failed_total[chip], errors)
        failed["execute_completed_with_num_error"] = seen.numerical_errors_total[chip]
        present = {"success": completed, "failure": errors}
        files = {}
        for name in _STATUSES:
            files[f"status/{name}/total"] = str(failed.get(name, 0))
            files[f"status/{name}/present"] = str(present.get(name, 0))
        others = {
            "flop_count": cores.flop_total[chip] // self._cores,
            "nc_time_in_use": cores.busy_us_total[chip],
            "inference_count": failed["success"] + failed["failure"],
            "model_load_count": cores.model_loads_total[chip],
            "reset_req_count": 0,
            "reset_fail_count": 0,
        }
        running = {"inference_count": completed + errors, "model_load_count": len(jobs)}
        for name, total in others.items():
            files[f"other_info/{name}/total"] = str(total)
            files[f"other_info/{name}/present"] = str(running.get(name, 0))
        return files


def _held(place: str, now: int, peak: int) -> dict[str, str]:
    return {f"{place}/total": str(now), f"{place}/present": str(now), f"{place}/peak": str(peak)}


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
