"""Loops of the emulator's plant under the production controller, without the wire between them.

Once a second: sensors as the devices have them, firmware of the CDU, telemetry that arrives late,
the controller's own cycle with its safety shell, and commands that act in the next second. Commands
are leases, as everywhere: the CDU goes back to its own loop when the last one has run out.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from agent.options import CoolingLimits
from agent.taking_over import InForce, eased
from controller.cooling.control import CapLoop, CoolingEffect, Mode, SendCooling
from controller.cooling.estimate import LoopReadings, middle, running
from controller.cooling.loop import LoopControl, advance, initial
from controller.cooling.settings import CoolingSettings
from controller.options import ControllerOptions
from emulator.cdu import CduSettings, Firmware
from emulator.readings import CduReadings, CduRequests, ControlMode, PumpHealth
from emulator.sensors import FleetSensors
from fleet.clock import NS_PER_S, SystemClock
from fleet.commands import SetCooling
from fleet.metrics import LeakState
from isotherm.bench.cooling.trace import Trace
from thermal.arrays import BoolArray, FloatArray
from thermal.model import identity
from thermal.model.identity import Identified, LoopIdentity
from thermal.model.loop_fit import LoopSight
from thermal.model.plates import PlateSight
from thermal.plant.layout import PlantLayout
from thermal.plant.liquid import LiquidPlant
from thermal.plant.settings import PlantSettings
from thermal.plant.state import Commands

COMMAND_S: Final = ControllerOptions().command_s
AGENT: Final = CoolingLimits()
SUMMARY_S: Final = 10
START_UNIX_NS: Final = 1_760_000_000 * NS_PER_S
CHIPS: Final = 288
CHIPS_PER_SLED: Final = 4
IDLE_W, PEAK_W = 180.0, 1_000.0
"""Of a chip, as the default loop is designed for."""
OTHER_IDLE_W, OTHER_PEAK_W = 250.0, 700.0
"""Into the coolant from CPU, NIC and switch of a sled."""
LEAKAGE_AT_C, LEAKAGE_PER_K, USUAL_C = 85.0, 0.016, 70.0
"""As the emulator's chips: doubles in 43 K (35 to 58, estimate)."""
AIR_SHARE: Final = 0.1
"""Of a sled's electric power that never reaches the coolant: 10..15 % of rack heat stays in air."""
_SCALARS: Final = (
    "supply_c",
    "return_c",
    "secondary_flow_lpm",
    "secondary_dp_kpa",
    "supply_pressure_kpa",
    "primary_supply_c",
    "primary_return_c",
    "valve_ratio",
    "reservoir_level_ratio",
    "dew_point_c",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One second's telemetry as it left the devices."""

    at_s: float
    scalars: dict[str, list[float]]
    pump_ratio: list[float]
    pumps_running: list[int]
    power_w: list[float]
    chip_power_w: list[float]
    junction_c: list[float]
    inlet_c: list[float]
    sleds_flow_lpm: list[float]
    pump_power_w: list[float]
    commands: list[tuple[float, float]]
    """Valve's and fastest pump's, as the CDU says."""
    busy_ratio: FloatArray
    """[loops]"""
    chips: tuple[FloatArray, FloatArray, FloatArray, FloatArray] | None
    """Junction, power [loops, chips]; inlet, flow [loops, sleds]; kept where loops are identified.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class RigSettings:
    """What a scenario starts from."""

    cooling: CoolingSettings
    plants: tuple[PlantSettings, ...]
    seed: int
    age_s: int = 1
    """Telemetry is so old when the controller reads it."""
    supply_c: float = 40.0
    firmware: CduSettings = field(default_factory=CduSettings)
    chips: int = CHIPS
    identify: bool = False
    """The controller learns what its loops are, as it does in production; `mpc` then takes their
    pipes for as long as they turned out to be."""
    leakage_w: float = 0.0
    """Of each chip at 85 °C; its power at 70 °C stays what the load says."""


Arrival = Callable[[int], int | None]
"""Age in seconds of the newest telemetry heard in a second; None: nothing was heard."""


class Rig:
    """`run` second by second; what scenarios change between seconds are the public fields."""

    def __init__(self, settings: RigSettings) -> None:
        self.settings = settings
        self.loops = len(settings.plants)
        plant_rng, sensor_rng = np.random.default_rng(settings.seed).spawn(2)
        sleds = settings.chips // CHIPS_PER_SLED
        layout = PlantLayout.uniform(
            sleds_of_loop=[sleds] * self.loops, chips_per_sled=CHIPS_PER_SLED
        )
        self.plant = LiquidPlant(settings.plants, layout=layout, rng=plant_rng)
        self.sensors = FleetSensors(sensor_rng)
        self.firmware = [
            Firmware(settings.firmware, pumps=self.plant.pumps) for _ in range(self.loops)
        ]
        self.requests = [
            CduRequests(pump_ratio=(0.8,) * self.plant.pumps) for _ in range(self.loops)
        ]
        self.second = 0
        self.load_ratio: FloatArray = np.full(self.loops, 0.2)
        self.chip_cap_ratio: FloatArray = np.ones(layout.sleds)
        """[sleds] of the chips' power, as the sleds' own protection leaves it."""
        self.loop_cap_ratio: FloatArray = np.ones(self.loops)
        """[loops] of the chips' rated power, as the controller caps it."""
        self.arrival: Arrival = lambda _second: settings.age_s
        self.controller_alive = True
        self._begin_to_watch(layout)

    def _begin_to_watch(self, layout: PlantLayout) -> None:
        self.effects: list[tuple[int, CoolingEffect]] = []
        self.trace = Trace()
        self.shown_flow_lpm: FloatArray = np.zeros(layout.sleds)
        """[sleds] as their own meters show it."""
        self.shown_junction_c: FloatArray = np.zeros(layout.chips)
        """[chips] as their sensors show it."""
        self.pump_alarm_s = 1
        """A pump has stood for so long when the CDU says so."""
        self.pump_alarms: BoolArray = np.zeros(self.loops, np.bool_)
        """[loops] the CDU says that a pump stands."""
        self.fault_at_s = 0
        self.named_at_s: dict[str, int] = {}
        """When a sensor of the first loop was first named as not believed."""
        self.wet_bulb_c: FloatArray = np.full(self.loops, np.nan)
        """[loops] what a weather station outside shows; NaN: there is none."""
        self.identities: list[LoopIdentity] = []
        """What the controller has learnt, where `identify` is set."""
        self.controls: list[LoopControl] = []
        self.forget_controls()
        self.cycle_s: list[float] = []
        """What each control cycle took, of all loops together."""
        self._stood_s = np.zeros((self.loops, self.plant.pumps))
        self._heard: Told | None = None
        self._clock = SystemClock()
        self._told: deque[Told] = deque(maxlen=16)
        self._sensed = [_unread(self.plant.pumps)] * self.loops

    # --- what scenarios do ---------------------------------------------------------------------

    def strike(self, **faults: Any) -> None:
        """Set columns of the plant's faults; the others stay."""
        changed = {}
        for name, value in faults.items():
            column = getattr(self.plant.faults, name).copy()
            column[...] = value
            changed[name] = column
        self.plant.break_parts(replace(self.plant.faults, **changed))

    def run(self, seconds: int) -> "Rig":
        for _ in range(seconds):
            self._second()
        return self

    def forget_controls(self) -> None:
        """Controllers begin anew, as one that was away for longer than its memory is good."""
        cooling = self.settings.cooling
        self.controls = [
            initial(f"h1/loop{row:04d}", f"h1/cdu{row:04d}", cooling) for row in range(self.loops)
        ]
        self.identified = [Identified()] * self.loops
        if self.settings.identify:
            unknown = LoopIdentity.unknown(cooling.identity, cooling.model, self.settings.chips)
            self.identities = [unknown] * self.loops

    def settle(self, seconds: int = 420) -> "Rig":
        """Run until the start is forgotten."""
        self.run(seconds)
        self.trace = Trace()
        self.effects.clear()
        self.named_at_s.clear()
        return self

    @property
    def chip_power_w(self) -> FloatArray:
        """[chips]"""
        wanted = IDLE_W + self.load_ratio * (PEAK_W - IDLE_W)
        # Caps are of rated power.
        wanted = np.minimum(wanted, np.maximum(self.loop_cap_ratio * PEAK_W, IDLE_W))
        capped: FloatArray = np.repeat(wanted, self.settings.chips) * np.repeat(
            self.chip_cap_ratio, CHIPS_PER_SLED
        )
        if self.settings.leakage_w > 0.0:
            capped = np.maximum(capped + self.leakage_w - self._usual_leakage_w, 0.0)
        return capped

    @property
    def leakage_w(self) -> FloatArray:
        """[chips]"""
        over_k = self.plant.junction_c - LEAKAGE_AT_C
        leaked: FloatArray = self.settings.leakage_w * np.exp(LEAKAGE_PER_K * over_k)
        return leaked

    @property
    def _usual_leakage_w(self) -> float:
        return self.settings.leakage_w * math.exp(LEAKAGE_PER_K * (USUAL_C - LEAKAGE_AT_C))

    # --- one second ----------------------------------------------------------------------------

    def _second(self) -> None:
        self._lapse()
        chip_w = self.chip_power_w
        other_w = OTHER_IDLE_W + self.load_ratio * (OTHER_PEAK_W - OTHER_IDLE_W)
        other_w = np.repeat(other_w, self.settings.chips // CHIPS_PER_SLED)
        actuators = [
            firmware.actuators(requests, sensed, float(self.second), 1.0)
            for firmware, requests, sensed in zip(
                self.firmware, self.requests, self._sensed, strict=True
            )
        ]
        self.plant.step(
            1.0,
            chip_power_w=chip_w,
            sled_other_liquid_w=other_w * (self.chip_cap_ratio > 0.0),
            commands=Commands.of(actuators),
        )
        self.second += 1
        self._measure(chip_w, other_w)
        self._hear()
        if self.controller_alive:
            self._control()
        self._keep(chip_w)

    def _lapse(self) -> None:
        """What the CDU's agent does when nobody renews a command."""
        for requests in self.requests:
            held = requests.control_mode is ControlMode.REMOTE
            if held and self.second - requests.last_write_monotonic_s >= COMMAND_S:
                requests.control_mode = ControlMode.LOCAL

    def _keep(self, chip_w: FloatArray) -> None:
        plant, per_loop = self.plant, (self.loops, -1)
        self.trace.keep(
            {
                "supply_c": plant.supply_c,
                "return_c": plant.return_c,
                "setpoint_c": np.array([one.setpoints.supply_c for one in self.controls]),
                "hottest_c": plant.junction_c.reshape(per_loop).max(axis=1),
                "valve_ratio": plant.valve_ratio,
                "pump_ratio": plant.pump_speed_ratio.max(axis=1),
                "flow_lpm": plant.secondary_flow_lpm,
                "dew_point_c": plant.dew_point_c,
                "heat_w": chip_w.reshape(per_loop).sum(axis=1),
                "cooling_w": plant.pump_power_w.sum(axis=1) + plant.facility_power_w,
                "primary_supply_c": plant.primary_supply_c,
            }
        )

    def _measure(self, chip_w: FloatArray, other_w: FloatArray) -> None:
        plant, read = self.plant, self.sensors.read
        per_loop = (self.loops, -1)
        scalars = {name: read(name, getattr(plant, name), 1.0).tolist() for name in _SCALARS}
        speeds = read("pump_speed_ratio", plant.pump_speed_ratio.ravel(), 1.0).reshape(per_loop)
        self.shown_flow_lpm = read("coolant_flow_lpm", plant.sled_flow_lpm, 1.0)
        self.shown_junction_c = read("junction_c", plant.junction_c, 1.0)
        sled_w = (chip_w.reshape(-1, CHIPS_PER_SLED).sum(axis=1) + other_w) / (1.0 - AIR_SHARE)
        estimate = self.settings.cooling.estimate
        share = estimate.robust_share
        junction_c = self.shown_junction_c.reshape(per_loop)
        power_w = read("power_w", chip_w, 1.0).reshape(per_loop)
        sled_lpm = self.shown_flow_lpm.reshape(per_loop)
        inlet_c = read("inlet_c", plant.sled_inlet_c, 1.0).reshape(per_loop)
        self._told.append(
            Told(
                at_s=float(self.second),
                scalars=scalars,
                pump_ratio=speeds.max(axis=1).tolist(),
                pumps_running=[running(row, estimate) for row in speeds],
                power_w=read("sled_power_w", sled_w, 1.0).reshape(per_loop).sum(axis=1).tolist(),
                chip_power_w=_upper(power_w, share),
                junction_c=_upper(junction_c, share),
                sleds_flow_lpm=sled_lpm.sum(axis=1).tolist(),
                inlet_c=[middle(row) for row in inlet_c],
                pump_power_w=read("pump_power_w", plant.pump_power_w.ravel(), 1.0)
                .reshape(per_loop)
                .sum(axis=1)
                .tolist(),
                commands=[self._told_ratio(row) for row in range(self.loops)],
                busy_ratio=self.load_ratio.copy(),
                chips=(junction_c, power_w, inlet_c, sled_lpm) if self.identities else None,
            )
        )
        self._stood_s = np.where(plant.faults.pump_tripped, self._stood_s + 1.0, 0.0)
        standing: BoolArray = self._stood_s >= self.pump_alarm_s
        self.pump_alarms[:] = standing.any(axis=1)
        tripped = standing.tolist()
        for row in range(self.loops):
            self._sensed[row] = replace(
                self._sensed[row],
                **{name: values[row] for name, values in scalars.items()},
                pump_speed_ratio=tuple(speeds[row].tolist()),
                pump_state=tuple(
                    PumpHealth.CRITICAL if off else PumpHealth.OK for off in tripped[row]
                ),
            )

    def _told_ratio(self, row: int) -> tuple[float, float]:
        """As the device shows its set-points: what was written, or what its own loop asks."""
        asked, own = self.requests[row], self.firmware[row].state
        if asked.control_mode is ControlMode.REMOTE:
            return asked.valve_ratio, max(asked.pump_ratio)
        return own.valve_ratio, max(own.pump_ratio)

    def _hear(self) -> None:
        age_s = self.arrival(self.second)
        if age_s is not None and age_s < len(self._told):
            told = self._told[-1 - age_s]
            self._heard = told if self._heard is None else max(self._heard, told, key=_at_s)

    def _control(self) -> None:
        if self._heard is None:
            return
        begin_s = self._clock.monotonic_s()
        for row in range(self.loops):
            if self._heard.chips is not None:
                self._learn(self._heard, row)
            self.controls[row], effects = self.decide(self.controls[row], row)
            for effect in effects:
                if isinstance(effect, SendCooling):
                    self.obey(row, effect.action)
                    continue
                if isinstance(effect, CapLoop):
                    self.loop_cap_ratio[row] = effect.cap_ratio
                self.effects.append((self.second, effect))
        self.cycle_s.append(self._clock.monotonic_s() - begin_s)
        for fault in self.controls[0].sensor_faults:
            self.named_at_s.setdefault(fault.sensor, self.second)

    def decide(
        self, control: LoopControl, row: int
    ) -> tuple[LoopControl, tuple[CoolingEffect, ...]]:
        """One cycle on the telemetry that was heard last; nothing is carried out."""
        if self._heard is None:
            return control, ()
        return advance(
            control,
            self._readings(self._heard, row),
            at_unix_ns=START_UNIX_NS + self.second * NS_PER_S,
            cause="bench",
            settings=self.settings.cooling,
        )

    def obey(self, row: int, action: SetCooling) -> None:
        """The CDU is told, as its agent tells it."""
        requests = self.requests[row]
        if requests.control_mode is ControlMode.LOCAL:
            action = self._eased(row, action)
        requests.control_mode = ControlMode.REMOTE
        requests.valve_ratio = action.valve_ratio
        requests.pump_ratio = (action.pump_ratio,) * self.plant.pumps
        requests.supply_setpoint_c = action.supply_c
        requests.last_write_monotonic_s = float(self.second)

    def _eased(self, row: int, action: SetCooling) -> SetCooling:
        valve_told, pump_told = self._told_ratio(row)
        sensed = self._sensed[row]
        return eased(
            AGENT,
            action,
            told=InForce(valve_ratio=valve_told, pump_ratio=pump_told),
            shown=InForce(valve_ratio=sensed.valve_ratio, pump_ratio=max(sensed.pump_speed_ratio)),
        )

    def _learn(self, told: Told, row: int) -> None:
        """What the controller's own process does beside the cycle, once a second."""
        assert told.chips is not None, "see _control"
        cooling = self.settings.cooling
        junction_c, power_w, inlet_c, sled_lpm = (column[row] for column in told.chips)
        chip_lpm = sled_lpm * (cooling.model.chip_flow_share / CHIPS_PER_SLED)
        scalars = told.scalars
        self.identities[row] = identity.learn(
            cooling.identity,
            cooling.model,
            self.identities[row],
            chips=PlateSight(
                junction_c=junction_c,
                power_w=power_w,
                inlet_c=np.repeat(inlet_c, CHIPS_PER_SLED),
                flow_lpm=np.repeat(chip_lpm, CHIPS_PER_SLED),
            ),
            loop=LoopSight(
                supply_c=scalars["supply_c"][row],
                return_c=scalars["return_c"][row],
                flow_lpm=scalars["secondary_flow_lpm"][row],
                dp_kpa=scalars["secondary_dp_kpa"][row],
                primary_supply_c=scalars["primary_supply_c"][row],
                primary_return_c=scalars["primary_return_c"][row],
                inlet_c=told.inlet_c[row],
            ),
            busy_ratio=float(told.busy_ratio[row]),
            dt_s=1.0,
        )
        if self.second % SUMMARY_S == row % SUMMARY_S:
            self.identified[row] = identity.summary(
                cooling.identity, cooling.model, self.identities[row]
            )

    def _readings(self, told: Told, row: int) -> LoopReadings:
        scalars = told.scalars
        return LoopReadings(
            at_s=START_UNIX_NS / NS_PER_S + self.second,
            cdu_age_s=self.second - told.at_s,
            cdu={name: scalars[name][row] for name in self.settings.cooling.estimate.sensors},
            valve_ratio=scalars["valve_ratio"][row],
            pump_ratio=told.pump_ratio[row],
            pumps_running=told.pumps_running[row],
            leak=False,
            sled_share=1.0,
            sled_power_w=told.power_w[row],
            chip_power_w=told.chip_power_w[row],
            junction_c=told.junction_c[row],
            inlet_c=told.inlet_c[row],
            sleds_flow_lpm=told.sleds_flow_lpm[row],
            pump_power_w=told.pump_power_w[row],
            valve_command_ratio=told.commands[row][0],
            pump_command_ratio=told.commands[row][1],
            wet_bulb_c=float(self.wet_bulb_c[row]),
            identified=self.identified[row],
        )

    def in_mode(self, mode: Mode) -> bool:
        return all(control.mode is mode for control in self.controls)


def _at_s(told: Told) -> float:
    return told.at_s


def _upper(values: FloatArray, share: float) -> list[float]:
    """Quantile of each row, taken as one of its values."""
    place = min(round(share * (values.shape[1] - 1)), values.shape[1] - 1)
    ordered: list[float] = np.partition(values, place, axis=1)[:, place].tolist()
    return ordered


def _unread(pumps: int) -> CduReadings:
    silent: dict[str, Any] = dict.fromkeys(
        (*_SCALARS, "primary_flow_lpm", "heat_removed_w", "hall_air_c"),
        math.nan,
    )
    return CduReadings(
        at_unix_ns=START_UNIX_NS,
        **silent,
        leak=(LeakState.OK,) * 3,
        control_mode=ControlMode.LOCAL,
        supply_setpoint_c=40.0,
        pump_speed_ratio=(0.0,) * pumps,
        pump_power_w=(0.0,) * pumps,
        pump_state=(PumpHealth.OK,) * pumps,
    )
