from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Self

from fleet.topology import LoopKind
from thermal.control import gains
from thermal.control.failsafe import SensorLimits
from thermal.control.feedforward import FeedforwardSettings
from thermal.control.horizon import HorizonSettings
from thermal.control.interlock import InterlockLimits
from thermal.control.pid import PidGains
from thermal.control.select import RateLimit
from thermal.control.stillness import StillnessSettings
from thermal.facility import FacilitySettings
from thermal.model.facility_water import FacilityWaterSettings
from thermal.model.identity import IdentitySettings
from thermal.model.in_row import InRowModelSettings, behind_coil
from thermal.model.leakage import LeakageFitSettings
from thermal.model.margins import ThrottleSettings
from thermal.model.observer import ObserverSettings
from thermal.model.settings import LoopModelSettings
from thermal.model.valve_rest import ValveRestSettings

LAW_VARIABLE: Final = "ISOTHERM_COOLING_LAW"
"""Environment variable that names the law of all loops."""


class LawName(StrEnum):
    """Which law moves a loop in AUTO."""

    PI = "pi"  # PI on supply, constant pressure difference: the baseline
    BMC = "bmc"  # cascade of thermal loops, the largest demand wins
    FEEDFORWARD = "ff"  # PI and feed-forward from power, least flow
    MPC = "mpc"  # predictive: valve and pumps together, over a horizon


MODEL_CHIPS = 288
"""Chips of the loop that `LoopModelSettings` describes."""


def _sensors() -> dict[str, SensorLimits]:
    """Believable readings of the CDU's sensors. Ranges and rates are estimates; a sensor with
    noise (0.05 K, 1..2 % of flow) that stands still for a minute is frozen; for the supply, which
    others tell of too, `stillness` says how long. Its rate is what a well of 3 s lets through when
    the whole return comes back at once.
    """
    return {
        "supply_c": SensorLimits(low=2.0, high=85.0, most_per_s=1.5),
        "return_c": SensorLimits(low=2.0, high=105.0, most_per_s=8.0, frozen_s=60.0),
        "secondary_flow_lpm": SensorLimits(low=0.0, high=5000.0, frozen_s=60.0),
        "primary_supply_c": SensorLimits(low=0.0, high=60.0, most_per_s=8.0),
        "primary_return_c": SensorLimits(low=0.0, high=90.0, most_per_s=8.0),
        "dew_point_c": SensorLimits(low=-40.0, high=45.0, most_per_s=5.0),
        "secondary_dp_kpa": SensorLimits(low=-20.0, high=600.0),
        "supply_pressure_kpa": SensorLimits(low=-20.0, high=1000.0),
        "reservoir_level_ratio": SensorLimits(low=0.0, high=1.0),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteSettings:
    """When a sensor of the CDU is outvoted by those of the sleds. Estimates."""

    transit_s: float = 8.0
    """Lag with which the sleds' inlets follow the supply: header 6 s, wells alike."""
    jump_k: float = 1.0
    jump_filter_s: float = 4.0
    """A gap that opens at once is seen by this filter, "jump", a slow one by the next, "drift"."""
    drift_k: float = 0.4
    drift_filter_s: float = 60.0
    learn_s: float = 180.0
    """After trust is won, the gap of sound sensors (bias 0.1..0.3 K each) is learnt so long."""
    calm_k: float = 0.04
    calm_filter_s: float = 20.0
    """It is learnt while the supply, by this filter, leads its own past by less: at rest."""
    most_bias_k: float = 0.8
    """A gap beyond this is no bias of sound sensors, and is never learnt."""
    model_k: float = 3.0
    """Return less heat over flow as a third voice: liquid share and flow are known to 10 %."""
    flow_ratio: float = 0.25
    """The CDU's flow may differ so much from the sum of the sleds' own meters."""
    flow_persist_s: float = 2.0
    apart_doubt_k: float = 0.1
    """What the inlets say the sensor should show is known so well while the supply rests,"""
    apart_lead_factor: float = 3.0
    """and worse by so much of its lead over its own past while it moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateSettings:
    sensors: dict[str, SensorLimits] = field(default_factory=_sensors)
    stillness: StillnessSettings = field(default_factory=StillnessSettings)
    """Of the supply sensor."""
    stale_s: float = 5.0
    """Estimate: telemetry at 1 Hz plus transport of at most 3 s."""
    least_sled_share: float = 0.5
    """Estimate: with fewer sleds heard the loop's heat and temperatures are a guess."""
    liquid_share: float = 0.88
    """Share of the sleds' power that the coolant takes up: 85..90 % (OCP MGX, vendor sheets)."""
    robust_share: float = 0.98
    """Quantile that stands for the worst branch: one blocked plate is not the loop's trouble."""
    optional: frozenset[str] = frozenset(
        {"secondary_dp_kpa", "supply_pressure_kpa", "reservoir_level_ratio", "primary_return_c"}
    )
    """Sensors that a CDU may lack; they are missed only after they have spoken once."""
    vote: VoteSettings = field(default_factory=VoteSettings)
    running_ratio: float = 0.75
    """Estimate: drives ramp together; one that coasts is below this after a second."""
    balance_tolerance_ratio: float = 0.2
    """Estimate: 10 % for a steady loop, and as much for the unknown liquid share."""
    balance_persist_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowSettings:
    """When an actuator is said not to follow. Estimates."""

    tolerance_ratio: float = 0.03
    """Command against feedback after the stroke; stiction, dead band and feedback make 1.5 %."""
    moved_ratio: float = 0.004
    """Four sigmas of the position feedback."""
    still_s: float = 6.0
    """Telemetry and commands take 2 to 3 s of it."""
    taken_over_ratio: float = 0.08
    """A CDU's own command is believed by who takes over while its actuator is so near: 2 s of its
    slew, and what sticks."""
    behind_s: float = 30.0
    """A CDU's own slew, and commands that turn round on the way, take 15 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    supply_c: float = 40.0
    """Set-point. Racks take up to 45 °C (GB300, Vera Rubin); 40 leaves room for a failure."""
    valve: PidGains = gains.SUPPLY_VALVE
    valve_heat: FeedforwardSettings = field(default_factory=FeedforwardSettings)
    pump_heat: FeedforwardSettings = field(
        default_factory=lambda: FeedforwardSettings(rise_filter_s=2.0, fall_filter_s=60.0)
    )
    """Estimate: flow follows a rise at once and a fall slowly, so a load that swings within a
    minute holds the pumps at what its peaks need."""
    flow_margin_ratio: float = 1.25
    """Estimate: branches differ by 5 % in build, 5 % by place and 30 % by ageing couplings."""
    junction_target_c: float = 78.0
    """Estimate: throttling starts at 90 °C, the soft limit is 85."""
    pump_trim: PidGains = field(
        default_factory=lambda: PidGains(proportional_per_k=0.01, integral_per_k_s=0.0005)
    )
    """Estimate: speed added for each kelvin of the worst branch over its target."""
    most_trim_ratio: float = 0.5
    transfer_s: float = 60.0
    """Estimate: a difference taken over from another law fades with this time constant."""
    most_transfer_ratio: float = 0.3
    """Estimate: pumps taken over more than this too slow are not eased in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PiSettings:
    """The baseline law; tuned on the load steps of the cooling benchmark, 60 s valve."""

    valve: PidGains = field(
        default_factory=lambda: PidGains(proportional_per_k=0.06, integral_per_k_s=0.004)
    )
    """Best of a 25-point grid on a reference loop."""
    pump_gain_per_s: float = 0.1
    """Estimate: speed a second for each unit of relative error of the pressure difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BmcSettings:
    """The cascade. Gains and tables are estimates."""

    valve: PidGains = field(
        default_factory=lambda: PidGains(
            proportional_per_k=0.06, integral_per_k_s=0.004, derivative_s_per_k=0.1
        )
    )
    return_loop: PidGains = field(
        default_factory=lambda: PidGains(proportional_per_k=0.02, integral_per_k_s=0.001)
    )
    return_target_c: float = 51.0
    margin_loop: PidGains = field(
        default_factory=lambda: PidGains(proportional_per_k=0.02, integral_per_k_s=0.001)
    )
    table_c: tuple[float, ...] = (80.0, 84.0, 88.0)
    """Junction temperatures from which the pumps run at least so fast:"""
    table_ratio: tuple[float, ...] = (0.7, 0.85, 1.0)
    hysteresis_k: float = 2.0
    least_pump_ratio: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class MpcSettings:
    """The predictive law; tuned on the cooling benchmark, on other seeds than its own."""

    horizon: HorizonSettings = field(default_factory=HorizonSettings)
    observer: ObserverSettings = field(default_factory=ObserverSettings)
    valve_rest: ValveRestSettings = field(default_factory=ValveRestSettings)
    facility_water: FacilityWaterSettings = field(default_factory=FacilityWaterSettings)
    flow_meter_s: float = 1.0
    """Lag of the loop's flow meter."""
    flow_filter_s: float = 15.0
    """Of flow over pump speed; the meter has 1 to 2 % of noise."""
    flow_leap_ratio: float = 0.08
    """A pump that stops shows at once: no noise does this."""
    break_s: int = 8
    """A valve at rest is broken loose for what the plan wants of it in so long,"""
    break_share: float = 0.65
    """once that is more than this share of its stiction: it moves by no less than twice that,"""
    break_ratio: float = 1.1
    """and told to go by this over its stiction."""
    young_s: float = 40.0
    """For so long a model that has just begun slows no pumps: once round the loop takes 25 s."""
    sheet_transit_s: float = 7.0
    """What identification makes of pipes as on the data sheet: 6 s of header, and what branches
    spread. A loop's pipes hold as much more or less as it is found to differ."""
    transit_sigma_s: float = 1.0
    """A transit known worse than this changes nothing."""
    transit_step_s: float = 0.5
    """Loops whose pipes are alike share responses."""
    most_transit_ratio: float = 0.5
    """Of the pipes' volume: more is no pipe of this loop."""
    heat_gain_per_s: float = 0.01
    heat_ratio_limits: tuple[float, float] = (0.7, 1.3)
    lost_k: float = 8.0
    """A model that far off begins anew where the loop is measured to be."""
    most_rise_k: float = 30.0
    least_rise_k: float = 2.0
    """Below this rise the return says nothing of the heat."""
    junction_filter_s: float = 10.0
    junction_cap_c: float = 84.0
    """From here on the supply may go below its set-point; the soft limit is 85 °C."""
    swing_s: float = 20.0
    """Over so long heat is watched for coming and going."""
    swinging_ratio: float = 0.1
    """Of the mean heat: more that comes and goes makes the valve slower to move,"""
    swinging_slope_weight: float = 12_000.0
    """by this weight on its slope."""
    return_s: float = 6.0
    """How soon heat that swings is expected back at its mean."""
    least_pump_ratio: float = 0.5
    """Slowest speed that is called economic."""
    most_bump_ratio: float = 0.002
    """Of valve or pumps in the cycle that takes over: below 1 %, as every change of law."""
    gain_at_s: int = 15
    """Where on the plan the gains are taken."""
    longest_gap_s: int = 5
    """A longer pause of telemetry is not bridged by the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellSettings:
    """The last word: limits that hold whatever the policy says."""

    pump_least_ratio: float = 0.3
    """Estimate (30..45 %): slowest speed of a running pump."""
    supply_least_c: float = 17.0
    supply_most_c: float = 45.0
    """Vera Rubin racks take 17..45 °C."""
    dew_floor_k: float = 3.0
    """Set-point over the dew point: 2..3 K is common practice."""
    dew_guard_k: float = 0.5
    """Wished on top of it: noise of the dew point would else move the set-point faster than its
    slew, for the floor is kept at once."""
    dew_close_k: float = 2.0
    """Alarm margin: from here on the valve closes."""
    dew_unknown_c: float = 27.0
    """Estimate: what an unmeasured dew point is taken for; above any hall in ASHRAE's class A1
    (allowable up to 17 °C)."""
    valve_rate: RateLimit = field(
        default_factory=lambda: RateLimit(up_per_s=0.05, down_per_s=1.0 / 30.0)
    )
    """Estimate: opens at least as fast as a fast actuator (15..60 s), closes a little slower."""
    pump_rate: RateLimit = gains.PUMP_RATE
    supply_rate: RateLimit = gains.SETPOINT_RATE
    failsafe_pump_ratio: float = 0.9
    """80..100 % (estimate)."""
    pressed_pump_ratio: float = 0.6
    """Estimate: fastest pumps while too high a pressure is latched."""
    longest_step_s: float = 5.0
    """A longer pause between two cycles moves actuators no further than this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliefSettings:
    """When a loop asks placement for relief, and when it caps power. Estimates."""

    full_ratio: float = 0.97
    """Valve and pumps from here on have nothing left to give."""
    strained_c: float = 83.0
    """Worst branches; the soft limit is 85 °C."""
    urgent_c: float = 88.0
    """Throttling starts at 90 °C: from here on nobody waits for placement."""
    stuck_c: float = 81.0
    """As urgent as that is this, when the valve is stuck below what it was told."""
    calm_c: float = 79.0
    avoid_after_s: float = 5.0
    move_after_s: float = 20.0
    cap_after_s: float = 80.0
    """A moved job has stopped and started elsewhere within a minute."""
    step_s: float = 10.0
    """Chips answer in seconds, the coolant in ten."""
    down_ratio: float = 0.1
    least_cap_ratio: float = 0.3
    calm_after_s: float = 60.0
    up_after_s: float = 30.0
    up_ratio: float = 0.05
    repeat_s: float = 30.0
    moved_share: float = 0.25
    """Share of the loop's sleds, hottest first, from which work is moved at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """What is made of the serving queue. Estimates."""

    filter_s: float = 3.0
    """Of rates: frames come once a second, each sled's at its own moment."""
    swing_s: float = 30.0
    """Over which arrivals that come and go are told from a load that stays."""
    settled_ratio: float = 0.1
    """Of the answers: batches that fill or empty by less are settled."""
    settle_s: float = 15.0
    """So long, before heat and rate belong together: headers do not matter, batches do."""
    memory_s: float = 3_600.0
    least_lesson_s: float = 30.0
    least_ratio: float = 0.02
    """Of the heat: less is not worth a word."""
    longest_s: float = 60.0
    """Further ahead nobody looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetSettings:
    """The slow layer that moves the supply set-point. Estimates, but where a source is named."""

    every_s: float = 60.0
    hot_every_s: float = 20.0
    """Where the worst chips are over their cap by more than:"""
    hot_k: float = 1.0
    step_k: float = 2.0
    """A decision's largest; the shell lets a set-point move by 2 K a minute."""
    spare_k: float = 2.0
    """Of the worst chips below the law's junction target: the models' error."""
    dew_spare_k: float = 2.5
    """Over the shell's dew floor: what a fall of load takes the supply below its set-point."""
    most_valve_ratio: float = 0.88
    """As measured; beyond it supply and facility water are drawn apart, whatever the model says."""
    most_primary_ratio: float = 0.75
    """Of facility flow: what is left is the valve's authority over a rise of heat."""
    hysteresis_ratio: float = 0.002
    """Of the bill: a set-point that wanders wears the valve."""
    coldest_water_c: float = 8.0
    """Estimate: asked of a building, so that its pipes do not freeze."""
    warmest_water_c: float = 40.0
    """Estimate: asked of a building; W40 loops are supplied so warm."""
    rated_w_per_chip: float = 1_038.0
    """Heat that the building is rated for: 540 l/min of facility water warmed by 8 K, 288 chips."""
    facility: FacilitySettings = field(default_factory=FacilitySettings)
    """What is believed of towers, fans and facility pumps."""
    leakage: LeakageFitSettings = field(default_factory=LeakageFitSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoolingSettings:
    """Settings of one loop's control."""

    model: LoopModelSettings = field(default_factory=LoopModelSettings)
    pumps: int = 2
    chips: int = MODEL_CHIPS
    law: LawName = LawName.FEEDFORWARD
    estimate: EstimateSettings = field(default_factory=EstimateSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    pi: PiSettings = field(default_factory=PiSettings)
    bmc: BmcSettings = field(default_factory=BmcSettings)
    mpc: MpcSettings = field(default_factory=MpcSettings)
    shell: ShellSettings = field(default_factory=ShellSettings)
    interlock: InterlockLimits = field(
        default_factory=lambda: InterlockLimits(flow_persist_s=3.0, junction_persist_s=2.0)
    )
    follow: FollowSettings = field(default_factory=FollowSettings)
    relief: ReliefSettings = field(default_factory=ReliefSettings)
    queue: QueueSettings = field(default_factory=QueueSettings)
    throttle: ThrottleSettings = field(default_factory=ThrottleSettings)
    identity: IdentitySettings = field(default_factory=IdentitySettings)
    in_row: InRowModelSettings | None = None
    """Of a loop whose heat goes to the hall's air; None: to facility water."""
    reset: ResetSettings | None = None
    """None: the set-point stays where the policy has it."""
    failsafe_hold_s: float = 10.0
    """Estimate: a failsafe lasts at least this long, so that a sensor at its limit does not
    make the mode flap."""

    @classmethod
    def sized(cls, chips: int, kind: LoopKind = LoopKind.LIQUID_TO_LIQUID) -> Self:
        """Settings for a loop of another number of 1 kW chips: flows, UA and pumps in scale. On a
        liquid-to-air loop fans stand where the valve does, and the air where facility water does.
        """
        base = LoopModelSettings()
        scale = chips / MODEL_CHIPS
        exchanger = replace(
            base.exchanger,
            ua_w_per_k=base.exchanger.ua_w_per_k * scale,
            hot_nominal_lpm=base.exchanger.hot_nominal_lpm * scale,
            cold_nominal_lpm=base.exchanger.cold_nominal_lpm * scale,
        )
        model = replace(
            base,
            exchanger=exchanger,
            pump=replace(base.pump, runout_lpm=base.pump.runout_lpm * scale),
            design_flow_lpm=base.design_flow_lpm * scale,
            supply_pipe_l=base.supply_pipe_l * scale,
            return_pipe_l=base.return_pipe_l * scale,
            plates_l=base.plates_l * scale,
            others_l=base.others_l * scale,
        )
        if kind is not LoopKind.LIQUID_TO_AIR:
            return cls(model=model, chips=chips)
        cooler = InRowModelSettings()
        cooler = replace(cooler, coil=cooler.coil.scaled(scale))
        return cls(
            model=behind_coil(model, cooler),
            chips=chips,
            in_row=cooler,
            # The model of a coil is within 13 % of it.
            identity=replace(IdentitySettings(), sheet_sigma=0.1),
            policy=PolicySettings(valve=gains.SUPPLY_FANS),
        )
