"""The one table of metrics: agents, detectors, `/metrics`, the dashboard and the docs read it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    CHIP = "chip"  # one value a chip of a sled
    SLED = "sled"  # one value a sled
    CDU = "cdu"  # one value a CDU
    PUMP = "pump"  # one value a pump of a CDU


class Kind(StrEnum):
    GAUGE = "gauge"  # an instant value, float32, NaN when absent
    COUNTER = "counter"  # an exact monotone count, u64, MISSING_COUNT when absent
    STATE = "state"  # a small code in a float32 column; `states` names the codes


class Source(StrEnum):
    NEURON = "neuron-monitor"  # the Neuron tools on the host
    SYSFS = "neuron-sysfs"  # the Neuron driver's files on the host
    REDFISH = "redfish"  # the sled's BMC or the CDU
    SERVING = "serving engine"  # vLLM's production metrics on the host
    AGENT = "agent"  # the agent itself


class LeakState(StrEnum):
    """DetectorState of Redfish LeakDetector; the code in a frame is the position here."""

    OK = "OK"  # dry
    WARNING = "Warning"  # moisture
    CRITICAL = "Critical"  # liquid
    UNAVAILABLE = "Unavailable"  # the detector itself is not to be trusted
    ABSENT = "Absent"  # no detector is fitted


LEAK_STATES: Final = tuple(state.value for state in LeakState)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """One row of the table; `low` and `high` bound what a healthy sensor can say."""

    name: str
    scope: Scope
    kind: Kind
    source: Source
    low: float
    high: float
    help: str
    states: tuple[str, ...] = ()
    staleness_s: float = 5.0


def _row(
    scope: Scope, kind: Kind, source: Source, name: str, span: tuple[float, float], text: str
) -> MetricSpec:
    states: tuple[str, ...] = ()
    if kind is Kind.STATE:
        states = STATES[name]
    return MetricSpec(
        name=name,
        scope=scope,
        kind=kind,
        source=source,
        low=span[0],
        high=span[1],
        help=text,
        states=states,
    )


STATES: Final[dict[str, tuple[str, ...]]] = {
    "leak_state": LEAK_STATES,
    "cdu_leak_state": LEAK_STATES,
    "power_state": ("Off", "On"),
    "guard_level": ("none", "shed", "off"),
    "control_mode": ("local", "remote"),
    "pump_state": ("OK", "Warning", "Critical"),
}

_CHIP, _SLED, _CDU, _PUMP = Scope.CHIP, Scope.SLED, Scope.CDU, Scope.PUMP
_G, _C, _S = Kind.GAUGE, Kind.COUNTER, Kind.STATE
_N, _Y, _R, _A = Source.NEURON, Source.SYSFS, Source.REDFISH, Source.AGENT
_V: Final = Source.SERVING
_BIG: Final = 2.0**63

METRICS: Final[tuple[MetricSpec, ...]] = (
    _row(_CHIP, _G, _R, "junction_c", (-10, 130), "Die temperature."),
    _row(_CHIP, _G, _R, "hbm_c", (-10, 130), "HBM stack temperature, hottest stack."),
    _row(_CHIP, _G, _R, "power_w", (0, 50_000), "Electric power of the chip."),
    _row(
        *(_CHIP, _G, _Y, "power_utilization_ratio", (0, 1)),
        "Power over its maximum, mean of the last whole minute.",
    ),
    _row(_CHIP, _G, _R, "power_cap_w", (0, 50_000), "Power limit in force."),
    _row(_CHIP, _G, _R, "hbm_utilization_ratio", (0, 1), "HBM bandwidth in use."),
    _row(_CHIP, _G, _N, "neuroncore_utilization_ratio", (0, 1), "Mean over the NeuronCores."),
    _row(_CHIP, _G, _N, "tensor_flop_per_s", (0, 5e17), "FLOP executed a second."),
    _row(_CHIP, _G, _N, "device_memory_used_bytes", (0, 4e11), "HBM held by the runtime."),
    _row(_CHIP, _C, _N, "hbm_ecc_corrected_total", (0, _BIG), "Corrected HBM errors."),
    _row(_CHIP, _C, _N, "hbm_ecc_uncorrected_total", (0, _BIG), "Uncorrected HBM errors."),
    _row(
        *(_CHIP, _C, _Y, "hbm_ecc_repairable_uncorrected_total", (0, _BIG)),
        "Uncorrected HBM errors that loading the driver again may repair.",
    ),
    _row(_CHIP, _C, _N, "sram_ecc_corrected_total", (0, _BIG), "Corrected SRAM errors."),
    _row(_CHIP, _C, _N, "sram_ecc_uncorrected_total", (0, _BIG), "Uncorrected SRAM errors."),
    _row(_SLED, _G, _R, "inlet_c", (-10, 90), "Coolant, or air, at the sled's inlet."),
    _row(_SLED, _G, _R, "outlet_c", (-10, 120), "Coolant, or air, at the sled's outlet."),
    _row(_SLED, _G, _R, "coolant_flow_lpm", (0, 60), "Coolant through the sled."),
    _row(_SLED, _G, _R, "sled_power_w", (0, 50_000), "Electric power of the sled."),
    _row(_SLED, _S, _R, "leak_state", (0, 4), "Worst leak detector of the sled."),
    _row(_SLED, _S, _R, "power_state", (0, 1), "Whether the sled is powered."),
    _row(_SLED, _S, _A, "guard_level", (0, 2), "What the agent's own guard has done."),
    _row(_SLED, _G, _N, "execution_latency_p50_s", (0, 3600), "Median execution latency."),
    _row(_SLED, _G, _N, "execution_latency_p99_s", (0, 3600), "99th percentile of the same."),
    _row(_SLED, _G, _N, "vcpu_usage_ratio", (0, 1), "Host CPU in use."),
    _row(_SLED, _G, _N, "memory_used_bytes", (0, 1e14), "Host memory in use."),
    _row(_SLED, _G, _N, "neuron_runtimes_count", (0, 1024), "Processes that hold NeuronCores."),
    _row(_SLED, _C, _N, "executions_completed_total", (0, _BIG), "Executions that completed."),
    _row(_SLED, _C, _N, "execution_errors_total", (0, _BIG), "Executions that failed."),
    _row(_SLED, _G, _V, "requests_running_count", (0, 1e6), "Requests in the batches."),
    _row(_SLED, _G, _V, "requests_waiting_count", (0, 1e6), "Requests that wait for a batch."),
    _row(_SLED, _C, _V, "requests_completed_total", (0, _BIG), "Requests that were answered."),
    _row(_CDU, _G, _R, "supply_c", (-10, 90), "Coolant sent to the racks."),
    _row(_CDU, _G, _R, "return_c", (-10, 110), "Coolant back from the racks."),
    _row(_CDU, _G, _R, "secondary_flow_lpm", (0, 5000), "Coolant flow to the racks."),
    _row(_CDU, _G, _R, "secondary_dp_kpa", (-50, 1000), "Pressure difference over the racks."),
    _row(_CDU, _G, _R, "supply_pressure_kpa", (-50, 1500), "Coolant supply pressure."),
    _row(_CDU, _G, _R, "primary_supply_c", (-10, 60), "Facility water in."),
    _row(_CDU, _G, _R, "primary_return_c", (-10, 90), "Facility water out."),
    _row(_CDU, _G, _R, "primary_flow_lpm", (0, 5000), "Facility water flow."),
    _row(
        *(_CDU, _G, _R, "valve_ratio", (0, 1)),
        "Position of the facility-water valve, or speed of the fans of an in-row cooler.",
    ),
    _row(
        *(_CDU, _G, _R, "fan_power_w", (0, 200_000)),
        "Electric power of the fans of an in-row cooler; no reading where there are none.",
    ),
    _row(_CDU, _G, _R, "heat_removed_w", (-1e6, 5e6), "Heat given to facility water."),
    _row(_CDU, _G, _R, "reservoir_level_ratio", (0, 1), "Coolant in the reservoir."),
    _row(_CDU, _G, _R, "hall_air_c", (-20, 60), "Air at the CDU."),
    _row(_CDU, _G, _R, "dew_point_c", (-40, 45), "Dew point of the hall's air."),
    _row(
        *(_CDU, _G, _R, "outdoor_wet_bulb_c", (-60, 45)),
        "Wet bulb outside, as the building tells its CDUs; what towers can cool to.",
    ),
    _row(_CDU, _S, _R, "cdu_leak_state", (0, 4), "Worst leak detector of the CDU."),
    _row(_CDU, _S, _R, "control_mode", (0, 1), "Who moves valve and pumps: firmware or remote."),
    _row(_PUMP, _G, _R, "pump_speed_ratio", (0, 1.05), "Speed of a pump over its rated speed."),
    _row(_PUMP, _G, _R, "pump_power_w", (0, 200_000), "Electric power of a pump."),
    _row(_PUMP, _S, _R, "pump_state", (0, 2), "Health of a pump as the CDU reports it."),
    _row(
        *(_CDU, _G, _R, "valve_command_ratio", (0, 1)),
        "What the CDU asks of its valve or fans: its own loop's word, or what was written.",
    ),
    _row(_PUMP, _G, _R, "pump_command_ratio", (0, 1.05), "Speed that the CDU asks of a pump."),
)

BY_NAME: Final[dict[str, MetricSpec]] = {spec.name: spec for spec in METRICS}


def in_scope(*scopes: Scope) -> tuple[MetricSpec, ...]:
    return tuple(spec for spec in METRICS if spec.scope in scopes)
