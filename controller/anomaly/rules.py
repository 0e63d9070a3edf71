"""The threshold rules as rows of data. Limits are estimates unless a source is named."""

from dataclasses import dataclass
from typing import Final

from controller.anomaly.finding import Family, Place, Severity
from controller.anomaly.wording import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A limit on one signal.

    Fires after `on_ticks` cycles in a row at or beyond `limit`; ends when the value comes back
    past `clear`. `clear` < `limit` means that high is bad, `clear` > `limit` that low is. While
    `outranked_by` fires for the same subject, this one is silent.
    """

    rule: Rule
    signal: str
    limit: float
    clear: float
    on_ticks: int
    outranked_by: str | None = None

    @property
    def high_is_bad(self) -> bool:
        return self.clear < self.limit


_W, _C = Severity.WARNING, Severity.CRITICAL
_PLATE: Final = "Check the chip's cold plate and its sled's flow; move work away."
_LOOP: Final = "Look at the CDU: valve, pumps, facility water, filter."


_CAUSES: Final = frozenset(
    {
        "sled_flow_below_peers",
        "sled_flow_below_peers_critical",
        "sled_flow_per_kw",
        "inlet_hot",
        "supply_over",
        "return_too_hot",
        "loop_flow_per_kw",
        "pump_failed",
    }
)


def _rule(name: str, severity: Severity, place: Place, *words: str) -> Rule:
    text, consequence, action = words
    return Rule(
        name=name,
        family=Family.COOLING,
        severity=severity,
        place=place,
        text=text,
        consequence=consequence,
        action=action,
        peer_relative=name.startswith("sled_flow_below_peers"),
        explains=name in _CAUSES,
    )


def _row(
    rule: Rule, signal: str, limits: tuple[float, float], on_ticks: int, outranked_by: str = ""
) -> Threshold:
    return Threshold(
        rule=rule,
        signal=signal,
        limit=limits[0],
        clear=limits[1],
        on_ticks=on_ticks,
        outranked_by=outranked_by or None,
    )


def _chip_rows() -> tuple[Threshold, ...]:
    hot = "{subject} is at {value:.1f} °C, limit {limit:.0f} °C"
    slow = "It throttles at 90 °C and its jobs slow down."
    stop = "Its agent sheds load at 95 °C; at 105 °C the chip trips."
    return (
        _row(
            _rule("chip_hot", _W, Place.CHIP, hot, slow, _PLATE),
            "junction_c",
            (85.0, 82.0),
            3,
            "chip_too_hot",
        ),
        _row(
            _rule("chip_too_hot", _C, Place.CHIP, hot, stop, _PLATE), "junction_c", (90.0, 86.0), 2
        ),
        _row(
            _rule("hbm_hot", _W, Place.CHIP, "HBM of " + hot, "HBM throttles at 95 °C.", _PLATE),
            "hbm_c",
            (90.0, 87.0),
            3,
            "hbm_too_hot",
        ),
        _row(
            _rule("hbm_too_hot", _C, Place.CHIP, "HBM of " + hot, "HBM trips at 105 °C.", _PLATE),
            "hbm_c",
            (95.0, 91.0),
            2,
        ),
    )


def _sled_rows() -> tuple[Threshold, ...]:
    share = "{subject} gets {value:.2f} of the flow of its peers, limit {limit:.2f}"
    branch = "Its chips run hotter than others; without flow they trip in 7 s."
    look = "Check the sled's hoses, quick couplings and strainer."
    need = "{subject} gets {value:.2f} l/min for each kW, limit {limit:.2f}"
    inlet = "Coolant enters {subject} at {value:.1f} °C, limit {limit:.0f} °C"
    return (
        _row(
            _rule("sled_flow_below_peers", _W, Place.SLED, share, branch, look),
            "flow_over_peers_ratio",
            (0.7, 0.8),
            5,
            "sled_flow_below_peers_critical",
        ),
        _row(
            _rule("sled_flow_below_peers_critical", _C, Place.SLED, share, branch, look),
            "flow_over_peers_ratio",
            (0.4, 0.5),
            3,
        ),
        _row(
            _rule("sled_flow_per_kw", _W, Place.SLED, need, "Coolant rises by 25 K or more.", look),
            "sled_lpm_per_kw",
            (0.6, 0.7),
            20,  # pumps take 30 s from least to most, power a second
        ),
        _row(
            _rule("inlet_hot", _W, Place.SLED, inlet, "Every chip is as much hotter.", _LOOP),
            "inlet_c",
            (47.0, 46.0),  # racks are specified for up to 45 °C supply (GB300, Vera Rubin)
            10,
        ),
        _row(
            _rule("inlet_cold", _W, Place.SLED, inlet, "Moisture may condense.", _LOOP),
            "inlet_c",
            (15.0, 17.0),  # Vera Rubin racks are specified from 17 °C
            10,
        ),
    )


def _loop_rows() -> tuple[Threshold, ...]:
    over = "Supply of {subject} is {value:.1f} K over its set-point"
    under = "Supply of {subject} is {value:.1f} K under its set-point"
    back = "Return to {subject} is at {value:.1f} °C, limit {limit:.0f} °C"
    dew = "Supply of {subject} is {value:.1f} K above the dew point, limit {limit:.0f} K"
    level = "Reservoir of {subject} is at {value:.0%}, limit {limit:.0%}"
    need = "{subject} gives {value:.2f} l/min for each kW, limit {limit:.2f}"
    wet = "Water condenses on boards at the dew point."
    return (
        _row(
            _rule("supply_over", _W, Place.CDU, over, "Every chip is as much hotter.", _LOOP),
            "supply_over_k",
            (3.0, 2.0),
            10,
        ),
        _row(
            _rule("supply_under", _W, Place.CDU, under, "Pumps and chillers waste energy.", _LOOP),
            "supply_under_k",
            (3.0, 2.0),
            120,
        ),
        _row(
            _rule("return_hot", _W, Place.CDU, back, "Racks allow 65 °C at most.", _LOOP),
            "return_c",
            (60.0, 58.0),
            5,
            "return_too_hot",
        ),
        _row(
            _rule("return_too_hot", _C, Place.CDU, back, "Hoses and seals are damaged.", _LOOP),
            "return_c",
            (65.0, 62.0),
            3,
        ),
        _row(
            _rule("dew_margin_low", _W, Place.CDU, dew, wet, "Dry the hall's air."),
            "dew_margin_k",
            (2.0, 2.5),
            5,
            "dew_margin_gone",
        ),
        _row(
            _rule("dew_margin_gone", _C, Place.CDU, dew, wet, "Raise the supply temperature now."),
            "dew_margin_k",
            (1.0, 1.5),
            5,
        ),
        _row(
            _rule("loop_flow_per_kw", _C, Place.CDU, need, "Coolant rises by 25 K or more.", _LOOP),
            "loop_lpm_per_kw",
            (0.6, 0.7),
            20,
        ),
        *_supply_rows(level),
    )


def _supply_rows(level: str) -> tuple[Threshold, ...]:
    pump = "A pump of {subject} reports trouble (state {value:.0f})"
    spare = "The loop has lost its spare pump, or is about to."
    air = "Pumps draw air when it is empty."
    fill = "Look for a leak, then refill."
    return (
        _row(
            _rule("reservoir_low", _W, Place.CDU, level, air, fill),
            "reservoir_level_ratio",
            (0.5, 0.55),
            5,
            "reservoir_empty",
        ),
        _row(
            _rule("reservoir_empty", _C, Place.CDU, level, air, fill),
            "reservoir_level_ratio",
            (0.2, 0.25),
            3,
        ),
        _row(
            _rule("pump_trouble", _W, Place.CDU, pump, spare, "Check the pump and its drive."),
            "pump_state",
            (1.0, 0.5),
            2,
            "pump_failed",
        ),
        _row(
            _rule("pump_failed", _C, Place.CDU, pump, spare, "Replace the pump."),
            "pump_state",
            (2.0, 1.5),
            2,
        ),
    )


THRESHOLDS: Final[tuple[Threshold, ...]] = (*_chip_rows(), *_sled_rows(), *_loop_rows())
