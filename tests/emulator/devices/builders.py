"""A hall whose readings are set by hand."""

from dataclasses import replace
from typing import Any

from emulator.power_minutes import NO_MINUTE
from emulator.readings import (
    CduReadings,
    CduRequests,
    ControlMode,
    CoreCounts,
    EccCounts,
    JobPhase,
    PumpHealth,
    RunningJob,
    SledReadings,
    SledRequests,
)
from fleet.metrics import LeakState
from fleet.topology import FleetMap, trn3_datacenter

START_UNIX_NS = 1_760_000_000_000_000_000


def running_job(**changes: Any) -> RunningJob:
    job = RunningJob(
        job_id="job-7f3a",
        attempt=1,
        model="llama-3-70b",
        chips=(0, 1, 2, 3),
        state=JobPhase.RUNNING,
        completed_total=1_000,
        errors_total=2,
        latency_s=(0.0041, 0.0042, 0.0044, 0.0045, 0.0047, 0.0061, 0.0088),
        requests_completed_total=12,
        requests_running=5,
        requests_waiting=3,
        ttft_s=(0.2, 0.5),
        tpot_s=(0.02, 0.03),
        host_bytes=2_147_483_648,
    )
    return replace(job, **changes)


def sled_readings(**changes: Any) -> SledReadings:
    readings = SledReadings(
        at_unix_ns=START_UNIX_NS,
        powered=True,
        junction_c=(70.0, 71.0, 72.0, 73.0),
        hbm_c=(74.0, 75.0, 76.0, 77.0),
        chip_power_w=(801.0, 802.0, 803.0, 804.0),
        power_cap_w=(1000.0,) * 4,
        hbm_utilization_ratio=(0.5, 0.51, 0.52, 0.53),
        core_utilization_ratio=(0.814, 0.7, 0.6, 0.5),
        flop_per_s=(4e14, 3e14, 2e14, 1e14),
        power_minutes=(NO_MINUTE,) * 4,
        products_real=(True,) * 4,
        numerical_errors_total=(0,) * 4,
        device_memory_bytes=(118_111_600_640,) * 4,
        ecc=EccCounts(
            hbm_corrected=(3, 0, 0, 1),
            hbm_uncorrected=(0, 1, 0, 0),
            hbm_repairable_uncorrected=(1, 0, 0, 0),
            sram_corrected=(0, 0, 2, 0),
            sram_uncorrected=(0, 0, 0, 4),
            repair_state=(1, 2, 0, 0),
            failed_total={},
        ),
        cores=CoreCounts(
            flop_total=(8_000_000_000_000_000_000, 80, 0, 0),
            busy_us_total=(61_000_000, 5, 0, 0),
            completed_total=(1_500, 1_000, 1_000, 1_000),
            failed_total=(3, 2, 2, 2),
            model_loads_total=(2, 1, 1, 1),
            device_memory_peak_bytes=(120_000_000_000,) * 4,
            host_memory_bytes=(2_147_483_648, 0, 0, 0),
            host_memory_peak_bytes=(3_000_000_000, 0, 0, 0),
        ),
        inlet_c=40.1,
        outlet_c=48.3,
        flow_lpm=7.52,
        sled_power_w=3_900.0,
        leak=(LeakState.OK, LeakState.OK),
        vcpu_ratio=0.3,
        memory_used_bytes=61_203_283_968,
        jobs=(running_job(),),
    )
    return replace(readings, **changes)


def cdu_readings(**changes: Any) -> CduReadings:
    readings = CduReadings(
        at_unix_ns=START_UNIX_NS,
        supply_c=40.0,
        return_c=48.5,
        secondary_flow_lpm=540.0,
        secondary_dp_kpa=180.0,
        supply_pressure_kpa=330.0,
        primary_supply_c=30.0,
        primary_return_c=38.0,
        primary_flow_lpm=500.0,
        valve_ratio=0.6,
        heat_removed_w=280_000.0,
        reservoir_level_ratio=0.97,
        hall_air_c=27.0,
        dew_point_c=14.1,
        outdoor_wet_bulb_c=18.5,
        leak=(LeakState.OK,),
        control_mode=ControlMode.LOCAL,
        supply_setpoint_c=40.0,
        pump_speed_ratio=(0.85, 0.85),
        pump_power_w=(1_400.0, 1_410.0),
        pump_state=(PumpHealth.OK, PumpHealth.OK),
        valve_command_ratio=0.6,
        pump_command_ratio=(0.85, 0.85),
    )
    return replace(readings, **changes)


class HandHall:
    """Every sled and CDU shows the same; `change_` changes all of them."""

    def __init__(self) -> None:
        self.fleet_map = FleetMap(trn3_datacenter())
        self._sleds = [sled_readings()] * self.fleet_map.sleds
        self._cdus = [cdu_readings()] * len(self.fleet_map.cdu_ids)
        self._sled_requests = [SledRequests(chips=4) for _ in range(self.fleet_map.sleds)]
        self._cdu_requests = [CduRequests() for _ in self.fleet_map.cdu_ids]

    def sled_readings(self, row: int) -> SledReadings:
        return self._sleds[row]

    def cdu_readings(self, row: int) -> CduReadings:
        return self._cdus[row]

    def sled_requests(self, row: int) -> SledRequests:
        return self._sled_requests[row]

    def cdu_requests(self, row: int) -> CduRequests:
        return self._cdu_requests[row]

    def change_sled(self, **changes: Any) -> None:
        self._sleds = [replace(seen, **changes) for seen in self._sleds]

    def change_cdu(self, **changes: Any) -> None:
        self._cdus = [replace(seen, **changes) for seen in self._cdus]

    def pass_time(self, duration_s: float) -> None:
        """Readings of later, otherwise the same."""
        later_ns = self._sleds[0].at_unix_ns + round(duration_s * 1e9)
        self.change_sled(at_unix_ns=later_ns)
        self.change_cdu(at_unix_ns=later_ns)
