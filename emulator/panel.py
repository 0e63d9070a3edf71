"""Everything the sensors of the hall show, gathered into the readings of each device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from emulator.chip import ChipBank
from emulator.core_counters import CoreCounters
from emulator.hall_cooling import HallCooling
from emulator.hardware_errors import HardwareErrors
from emulator.hbm.model import HbmModel
from emulator.leak_watch import LeakWatch
from emulator.loops import SLED_STATE
from emulator.power_minutes import PowerMinute, PowerMinutes
from emulator.readings import (
    CduReadings,
    CduRequests,
    CoreCounts,
    EccCounts,
    FailedExecution,
    PumpHealth,
    RunningJob,
    SledReadings,
    SledRequests,
)
from emulator.sensing import Sensors
from emulator.skus import FleetSkus
from emulator.workload import ProductRecord
from fleet.metrics import LeakState
from fleet.topology import Cooling, FleetMap
from thermal.arrays import BoolArray, FloatArray

_CDU_STATE = (
    "supply_c",
    "return_c",
    "secondary_flow_lpm",
    "secondary_dp_kpa",
    "supply_pressure_kpa",
    "primary_supply_c",
    "primary_return_c",
    "primary_flow_lpm",
    "valve_ratio",
    "heat_removed_w",
    "reservoir_level_ratio",
    "hall_air_c",
    "dew_point_c",
    "outdoor_wet_bulb_c",
)
# What a metric shows, where it is not the state of its name.
_BEHIND = {"valve_ratio": "rejection_ratio"}
_SLED_METRICS = dict(zip(("inlet_c", "outlet_c", "coolant_flow_lpm"), SLED_STATE, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hall:
    """What the sensors are held to; arrays [sleds] unless the name says chip."""

    chips: ChipBank
    products: ProductRecord
    hbm: HbmModel
    loops: HallCooling
    powered: BoolArray
    sled_power_w: FloatArray
    vcpu_ratio: FloatArray
    spilled_l: FloatArray
    chip_memory_bytes: Sequence[int]
    jobs: Sequence[tuple[RunningJob, ...]]


class Panel:
    """Reads every sensor once and hands out new readings of every sled and CDU."""

    def __init__(self, fleet_map: FleetMap, sensors: Sensors, skus: FleetSkus) -> None:
        self._fleet_map = fleet_map
        self._sensors = sensors
        self._skus = skus
        cooled = (fleet_map.cooling_of_sled(row) for row in range(fleet_map.sleds))
        self._liquid = [cooling is Cooling.LIQUID for cooling in cooled]
        self._leaks = LeakWatch(fleet_map, sensors, skus)
        self._power = PowerMinutes(skus.chips)
        self._minutes: list[PowerMinute] = []
        self._errors = HardwareErrors(fleet_map)
        self._cores = CoreCounters(fleet_map)
        self._counts: list[CoreCounts] = []
        self._failed: Mapping[int, tuple[FailedExecution, ...]] = {}

    def sleds(
        self, hall: Hall, requests: Sequence[SledRequests], at_unix_ns: int, dt_s: float
    ) -> tuple[SledReadings, ...]:
        chip = self._chip_columns(hall, dt_s)
        sled = self._sled_columns(hall, dt_s)
        self._minutes = self._power.take(hall.chips.power_w, at_unix_ns)
        self._failed = self._errors.take(hall.hbm.failed_total, hall.powered, at_unix_ns)
        ecc = _ecc_counts(hall.hbm, self._fleet_map)
        self._counts = self._cores.take(
            dt_s,
            flop_per_s=hall.chips.tensor_ratio * hall.chips.kinds.peak_flop_per_s,
            busy_ratio=hall.chips.tensor_ratio,
            memory_bytes=hall.chip_memory_bytes,
            jobs=hall.jobs,
            powered=hall.powered,
        )
        leaks = self._leaks.sleds(hall.spilled_l, requests, dt_s)
        return tuple(
            self._sled_readings(row, hall, chip, sled, ecc[row], leaks[row], at_unix_ns)
            for row in range(self._fleet_map.sleds)
        )

    def cdus(
        self,
        loops: HallCooling,
        requests: Sequence[CduRequests],
        spilled_l: FloatArray,
        at_unix_ns: int,
        dt_s: float,
    ) -> tuple[CduReadings, ...]:
        """`spilled_l` [sleds] lies under the racks."""
        shown = {
            name: self._sensors.read(name, loops.scalars(_BEHIND.get(name, name)), dt_s).tolist()
            for name in _CDU_STATE
        }
        pumps = {
            name: self._sensors.read(name, loops.column(name), dt_s).reshape(-1, loops.pumps)
            for name in ("pump_speed_ratio", "pump_power_w")
        }
        fans_w = loops.scalars("fan_power_w").tolist()
        valve_told = loops.scalars("valve_command_ratio").tolist()
        pumps_told = loops.column("pump_command_ratio").reshape(-1, loops.pumps)
        leaks = self._leaks.cdus(spilled_l, shown["reservoir_level_ratio"], requests, dt_s)
        return tuple(
            CduReadings(
                at_unix_ns=at_unix_ns,
                **{name: values[row] for name, values in shown.items()},
                leak=leaks[row].states,
                leak_latched=leaks[row].latched,
                control_mode=asked.control_mode,
                supply_setpoint_c=asked.supply_setpoint_c,
                pump_state=tuple(map(_pump_health, loops.pump_tripped(row))),
                pump_speed_ratio=tuple(pumps["pump_speed_ratio"][row].tolist()),
                pump_power_w=tuple(pumps["pump_power_w"][row].tolist()),
                fan_power_w=fans_w[row],
                valve_command_ratio=valve_told[row],
                pump_command_ratio=tuple(pumps_told[row].tolist()),
            )
            for row, asked in enumerate(requests)
        )

    def _chip_columns(self, hall: Hall, dt_s: float) -> dict[str, list[float]]:
        chips = hall.chips
        truth = {
            "junction_c": hall.loops.column("junction_c"),
            "hbm_c": hall.loops.column("hbm_c"),
            "power_w": chips.power_w,
            "hbm_utilization_ratio": chips.hbm_ratio,
        }
        shown = {
            metric: self._sensors.read(metric, values, dt_s).tolist()
            for metric, values in truth.items()
        }
        shown["power_cap_w"] = chips.power_cap_w.tolist()
        shown["core_ratio"] = chips.tensor_ratio.tolist()
        shown["flop_per_s"] = (chips.tensor_ratio * chips.kinds.peak_flop_per_s).tolist()
        return shown

    def _sled_columns(self, hall: Hall, dt_s: float) -> dict[str, list[float]]:
        shown = {
            metric: self._sensors.read(metric, hall.loops.column(state), dt_s).tolist()
            for metric, state in _SLED_METRICS.items()
        }
        shown["sled_power_w"] = self._sensors.read("sled_power_w", hall.sled_power_w, dt_s).tolist()
        shown["vcpu_ratio"] = hall.vcpu_ratio.tolist()
        return shown

    def _sled_readings(
        self,
        row: int,
        hall: Hall,
        chip: dict[str, list[float]],
        sled: dict[str, list[float]],
        ecc: EccCounts,
        leak: tuple[LeakState, ...],
        at_unix_ns: int,
    ) -> SledReadings:
        span = self._fleet_map.chips_in_sled(row)
        jobs = hall.jobs[row]
        return SledReadings(
            at_unix_ns=at_unix_ns,
            powered=bool(hall.powered[row]),
            junction_c=tuple(chip["junction_c"][span]),
            hbm_c=tuple(chip["hbm_c"][span]),
            chip_power_w=tuple(chip["power_w"][span]),
            power_cap_w=tuple(chip["power_cap_w"][span]),
            hbm_utilization_ratio=tuple(chip["hbm_utilization_ratio"][span]),
            core_utilization_ratio=tuple(chip["core_ratio"][span]),
            flop_per_s=tuple(chip["flop_per_s"][span]),
            power_minutes=tuple(self._minutes[span]),
            products_real=tuple(hall.products.real[span].tolist()),
            numerical_errors_total=tuple(hall.products.corrupted_total[span].tolist()),
            device_memory_bytes=tuple(hall.chip_memory_bytes[span]),
            ecc=ecc,
            cores=self._counts[row],
            inlet_c=sled["inlet_c"][row],
            outlet_c=sled["outlet_c"][row],
            flow_lpm=sled["coolant_flow_lpm"][row],
            sled_power_w=sled["sled_power_w"][row],
            # Where no coolant is, there are no detectors.
            leak=leak if self._liquid[row] else (),
            vcpu_ratio=sled["vcpu_ratio"][row],
            memory_used_bytes=self._skus.of_sled(row).idle_memory_bytes
            + sum(job.host_bytes for job in jobs),
            jobs=jobs,
            hardware_errors=self._failed.get(row, ()),
        )


def _ecc_counts(hbm: HbmModel, fleet_map: FleetMap) -> list[EccCounts]:
    """By sled."""
    read = hbm.registers.read()
    counts = {field.name: getattr(read, field.name).tolist() for field in fields(read)}
    failed = {status: total.tolist() for status, total in hbm.failed_total.items()}
    spans = [fleet_map.chips_in_sled(row) for row in range(fleet_map.sleds)]
    return [
        EccCounts(
            **{name: tuple(values[span]) for name, values in counts.items()},
            failed_total={status: tuple(total[span]) for status, total in failed.items()},
        )
        for span in spans
    ]


def _pump_health(tripped: bool) -> PumpHealth:
    return PumpHealth.CRITICAL if tripped else PumpHealth.OK
