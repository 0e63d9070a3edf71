"""`/metrics` of margins: how far each loop is from its limits; docs/operating-loops.md has them."""

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from api.desk import Desk
from fleet.spelling import NAMESPACE

SPELLED: Final[Mapping[str, tuple[str, str]]] = {
    "time_to_throttle_s": (
        "time_to_throttle_seconds",
        "Until the hottest chips throttle if all flow were lost now.",
    ),
    "spare_valve_ratio": ("spare_valve_ratio", "Travel that the facility valve has left."),
    "spare_pump_ratio": ("spare_pump_ratio", "Speed that the fastest pump has left."),
    "dew_margin_k": ("dew_margin_celsius", "Supply above the dew point."),
    "approach_k": ("approach_celsius", "Supply above facility water."),
    "junction_rise_k": ("junction_rise_celsius", "Worst branches above their inlets."),
    "flow_lpm_per_kw": ("flow_liters_per_minute_per_kilowatt", "Coolant for each kW of heat."),
    "pump_kw_per_lps": (
        "pump_specific_kilowatts_per_liter_per_second",
        "Electric power of the pumps for each litre a second.",
    ),
    "ua_ratio": ("ua_ratio", "Learnt UA of the exchanger over its data sheet."),
    "ua_drift_ratio": ("ua_drift_ratio", "UA gained since it was first found."),
    "flow_resistance_ratio": ("flow_resistance_ratio", "Learnt resistance to flow over design."),
    "plate_resistance_ratio": (
        "plate_resistance_ratio",
        "Learnt junction-to-coolant resistance over the data sheet, median chip.",
    ),
    "plate_drift_ratio": (
        "plate_drift_ratio",
        "Junction-to-coolant resistance gained since first found, worst chip less one sigma.",
    ),
    "worn_plates_count": ("worn_plates", "Chips whose resistance has grown beyond the alarm."),
    "leakage_ratio": ("leakage_ratio", "Learnt leakage of a chip over its rated power."),
    "transit_s": ("transit_seconds", "Learnt transit from exchanger to sleds at design flow."),
}
"""Margin -> its name after `isotherm_loop_margin_`, and help."""


def margin_metrics(desk: Desk) -> Iterator[Metric]:
    """A series a loop for each margin that is known; none from a view that is stale."""
    families = {
        name: GaugeMetricFamily(f"{NAMESPACE}_loop_margin_{word}", text, labels=("loop",))
        for name, (word, text) in SPELLED.items()
    }
    for loop_id in desk.fleet_map.loop_ids:
        heard = desk.live.loop(loop_id)
        if heard is None or desk.live.view_age_s(loop_id) > desk.options.live_fresh_s:
            continue
        for name, value in heard.view.margins.items():
            if value is not None and name in families:
                families[name].add_metric((loop_id,), value)
    yield from families.values()
