"""What the devices of the world show and what they were told.

Readings are frozen and replaced whole after each step, so device threads read them without a lock.
Requests are registers: device threads write them, the world reads them once at the start of a step.
"""

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from emulator.hbm.status import NrtStatus
from emulator.power_minutes import PowerMinute
from fleet.metrics import LeakState

PERCENTILES: Final = (0, 1, 25, 50, 75, 99, 100)


class JobPhase(StrEnum):
    WAITING = "waiting"  # some sled of the gang has not started its share yet
    RUNNING = "running"  # every replica serves
    DEGRADED = "degraded"  # some replicas lost a chip
    FAILED = "failed"  # no replica can serve


class ControlMode(StrEnum):
    LOCAL = "local"  # the CDU's firmware moves valve and pumps
    REMOTE = "remote"  # written commands move them


class PumpHealth(StrEnum):
    OK = "OK"  # runs as told
    WARNING = "Warning"  # runs, but not as told
    CRITICAL = "Critical"  # tripped


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningJob:
    """One sled's share of a job. Counts are cumulative since the share started on this sled."""

    job_id: str
    attempt: int
    model: str
    chips: tuple[int, ...]
    """Chip positions within the sled."""
    state: JobPhase
    completed_total: int
    """Executions, which are prefill and decode steps."""
    errors_total: int
    latency_s: tuple[float, ...] | None
    """Execution latency of the last step at `PERCENTILES`; None when nothing ran."""
    requests_completed_total: int
    """Requests of the replicas whose first chip is on this sled."""
    requests_running: int
    """The same that are in their batches."""
    requests_waiting: int
    ttft_s: tuple[float, float] | None
    """p50 and p99 of the time to first token, over the last minute."""
    tpot_s: tuple[float, float] | None
    """p50 and p99 of the time per output token, over the last minute."""
    host_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EccCounts:
    """What the error registers show, one entry a chip: cumulative since the sled's last power-up,
    but 16 bits wide, unreadable at times, and cleared by whoever likes to.
    """

    hbm_corrected: tuple[int, ...]
    hbm_uncorrected: tuple[int, ...]
    """Beyond repair."""
    hbm_repairable_uncorrected: tuple[int, ...]
    """Until the driver is loaded again; always 0 on Trn1."""
    sram_corrected: tuple[int, ...]
    sram_uncorrected: tuple[int, ...]
    repair_state: tuple[int, ...]
    """`RepairState`."""
    failed_total: Mapping[NrtStatus, tuple[int, ...]]
    """Executions that memory errors ended, by what the runtime said of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreCounts:
    """What the cores of one sled's chips have done; tuples have one entry a chip."""

    flop_total: tuple[int, ...]
    """Of all cores of the chip."""
    busy_us_total: tuple[int, ...]
    """Of each of its cores: they work alike."""
    completed_total: tuple[int, ...]
    failed_total: tuple[int, ...]
    model_loads_total: tuple[int, ...]
    device_memory_peak_bytes: tuple[int, ...]
    host_memory_bytes: tuple[int, ...]
    host_memory_peak_bytes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedExecution:
    """An execution that a memory error ended."""

    at_unix_ns: int
    chip: int
    """Position within the sled."""
    status: NrtStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class SledReadings:
    """What the sensors of one sled show; tuples have one entry a chip. NaN: no reading."""

    at_unix_ns: int
    powered: bool
    junction_c: tuple[float, ...]
    hbm_c: tuple[float, ...]
    chip_power_w: tuple[float, ...]
    power_cap_w: tuple[float, ...]
    hbm_utilization_ratio: tuple[float, ...]
    core_utilization_ratio: tuple[float, ...]
    flop_per_s: tuple[float, ...]
    """At the scale of the real chip."""
    products_real: tuple[bool, ...]
    """Counted from matrix products that ran; otherwise by the same formula."""
    numerical_errors_total: tuple[int, ...]
    """Products whose checksums did not agree, since the world began."""
    device_memory_bytes: tuple[int, ...]
    power_minutes: tuple[PowerMinute, ...]
    ecc: EccCounts
    cores: CoreCounts
    inlet_c: float
    outlet_c: float
    flow_lpm: float
    sled_power_w: float
    leak: tuple[LeakState, ...]
    """One entry a leak detector."""
    vcpu_ratio: float
    memory_used_bytes: int
    jobs: tuple[RunningJob, ...]
    hardware_errors: tuple[FailedExecution, ...] = ()
    """The last ones since the sled was switched on, oldest first."""
    answers: bool = True
    """False: nothing gets to the sled's devices or back."""
    board: str = ""
    """The sled that the board in this place was built as; empty: this one."""
    claims: str = ""
    """The sled that its card pretends to be; empty: none."""
    firmware_drifted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CduReadings:
    """What the sensors of one CDU show; NaN: no reading.

    The primary side of a liquid-to-air CDU is air: `primary_supply_c` is what its coil draws in,
    `primary_return_c` what it blows out, and `valve_ratio` the duty of its fans.
    """

    at_unix_ns: int
    supply_c: float
    return_c: float
    secondary_flow_lpm: float
    secondary_dp_kpa: float
    supply_pressure_kpa: float
    primary_supply_c: float
    primary_return_c: float
    primary_flow_lpm: float
    valve_ratio: float
    heat_removed_w: float
    reservoir_level_ratio: float
    hall_air_c: float
    dew_point_c: float
    leak: tuple[LeakState, ...]
    """One entry a leak detector: drip pan, floor, level of the expansion vessel."""
    control_mode: ControlMode
    supply_setpoint_c: float
    pump_speed_ratio: tuple[float, ...]
    pump_power_w: tuple[float, ...]
    pump_state: tuple[PumpHealth, ...]
    fan_power_w: float = 0.0
    """Of a liquid-to-air CDU; others have no fans."""
    valve_command_ratio: float = math.nan
    """What the firmware asks of valve or fans."""
    pump_command_ratio: tuple[float, ...] = ()
    """What it asks of each pump."""
    outdoor_wet_bulb_c: float = math.nan
    """As the building's weather station says."""
    leak_latched: tuple[bool, ...] = ()
    """Whether a detector has said CRITICAL since its latch was cleared; one entry a detector."""
    answers: bool = True
    """False: nothing gets to the CDU or back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One sled's share of a gang, as its runtime was told to start it."""

    job_id: str
    attempt: int
    model: str
    chips: tuple[int, ...]
    """Chip positions within the sled."""
    tensor_parallel: int
    """Chips of one replica, counted through the gang in its order."""
    gang: tuple[str, ...]
    """Every sled of the gang, this one included."""


class LeakReaction(StrEnum):
    """What a BMC does by itself when a leak detector says so; Redfish' ReactionType."""

    NONE = "None"  # it tells, and does nothing
    GRACEFUL_SHUTDOWN = "GracefulShutdown"  # shuts the host down; it stays off
    FORCE_OFF = "ForceOff"  # cuts the power; it stays off


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakPolicy:
    """As written to one leak detector. Delivered without reactions: the agent's guard has them."""

    enabled: bool = True
    on_warning: LeakReaction = LeakReaction.NONE
    on_critical: LeakReaction = LeakReaction.NONE
    delay_s: float = 0.0
    """A state must last so long before it is reacted to."""

    def reaction(self, state: LeakState) -> LeakReaction:
        if state is LeakState.CRITICAL:
            return self.on_critical
        return self.on_warning if state is LeakState.WARNING else LeakReaction.NONE


SLED_LEAK_DETECTORS: Final = 2


class SledRequests:
    """Registers of one sled. `jobs` and `leak_policies` are never changed in place but replaced."""

    def __init__(self, *, chips: int) -> None:
        self.powered = True
        self.leak_policies: tuple[LeakPolicy, ...] = (LeakPolicy(),) * SLED_LEAK_DETECTORS
        """One entry a detector."""
        self.power_cap_ratio: tuple[float, ...] = (1.0,) * chips
        """Of the rated power, one entry a chip."""
        self.isolated = False
        """The valves of the sled's coolant connector are shut."""
        self.jobs: Mapping[str, JobSpec] = MappingProxyType({})
        # Only writers meet here; the world reads the mapping that stands at that time.
        self._writers = threading.Lock()

    def start_job(self, spec: JobSpec) -> None:
        with self._writers:
            self.jobs = MappingProxyType({**self.jobs, spec.job_id: spec})

    def stop_job(self, job_id: str) -> None:
        """Idempotent: a job that is not there is no error."""
        with self._writers:
            left = {known: spec for known, spec in self.jobs.items() if known != job_id}
            self.jobs = MappingProxyType(left)

    def lose_jobs(self) -> None:
        """Nothing runs on after a loss of power."""
        with self._writers:
            self.jobs = MappingProxyType({})

    def set_leak_policy(self, place: int, policy: LeakPolicy) -> None:
        with self._writers:
            policies = list(self.leak_policies)
            policies[place] = policy
            self.leak_policies = tuple(policies)

    def cap_power(self, chip: int, ratio: float) -> None:
        with self._writers:
            caps = list(self.power_cap_ratio)
            caps[chip] = ratio
            self.power_cap_ratio = tuple(caps)


@dataclass(slots=True, kw_only=True)
class CduRequests:
    """Registers of one CDU; `pump_ratio` has one entry a pump.

    `remote_valve` and `remote_pumps` say which of the two Remote mode takes from the own loop.
    """

    control_mode: ControlMode = ControlMode.LOCAL
    valve_ratio: float = 0.5
    pump_ratio: tuple[float, ...] = field(default=(0.8, 0.8))
    supply_setpoint_c: float = 40.0
    facility_setpoint_c: float | None = None
    """Facility water asked of the building; None: nobody asks."""
    facility_asked_monotonic_s: float = float("-inf")
    """When, on the world's clock."""
    remote_valve: bool = True
    remote_pumps: bool = True
    flow_target_lpm: float | None = None
    """The own loop holds this flow; None: the pressure difference of its settings."""
    stopped: bool = False
    """Pumps stand still and heat is not rejected, whatever the mode."""
    clear_latches: bool = False
    """Set by devices, taken back when the latches have been cleared."""
    last_write_monotonic_s: float = float("-inf")
    """When valve or pumps were last written, on the world's clock."""


def valve_told_ratio(seen: CduReadings, asked: CduRequests) -> float:
    """What the set-point of valve or fans shows: the written one while it moves them, else what
    the own loop asks of them.
    """
    written = asked.control_mode is ControlMode.REMOTE and asked.remote_valve
    return asked.valve_ratio if written else seen.valve_command_ratio


def pumps_told_ratio(seen: CduReadings, asked: CduRequests) -> tuple[float, ...]:
    """The same of each pump."""
    written = asked.control_mode is ControlMode.REMOTE and asked.remote_pumps
    return asked.pump_ratio if written or not seen.pump_command_ratio else seen.pump_command_ratio
