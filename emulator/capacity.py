"""The most heat that a loop's hardware can carry away, whatever its controls do.

A hall whose chips could draw more is refused when it is built: no valve, pump or fan position
would hold it, so whatever came of it would be the mistake of its description.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from emulator.plant_parts import PlantParts, ReturnLimits
from emulator.runaway import check_runaway
from emulator.skus import FleetSkus
from emulator.weather import OutdoorAir
from fleet.errors import ConfigurationError
from fleet.topology import FleetMap, LoopKind
from thermal import coil, facility, heat_exchanger, pump
from thermal.coil import CoilSettings
from thermal.coolant import WATER_W_PER_K_PER_LPM, w_per_k, w_per_k_per_lpm
from thermal.facility import FacilitySettings
from thermal.manifold import SystemCurve
from thermal.plant.air_settings import AirRowSettings
from thermal.plant.settings import PlantSettings


class ImpossibleLoopError(ConfigurationError):
    """A loop has more heat than it can carry; `loop` is its row."""

    def __init__(self, loop: int, words: str) -> None:
        super().__init__(words)
        self.loop = loop


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a loop can carry, and the figures that say why."""

    heat_w: float
    flow_lpm: float
    """Of coolant with every pump at full speed, or of an air handler's water."""
    sink_c: float
    """What the heat goes to: facility water or hall air, at their best."""
    return_c: float
    medium: str
    """What returns to be cooled."""


def check_hall(
    fleet_map: FleetMap,
    skus: FleetSkus,
    plants: Sequence[PlantSettings],
    *,
    parts: PlantParts,
    warmest: OutdoorAir,
) -> None:
    """ImpossibleLoopError for the first loop that can not carry its heat in the `warmest` air,
    ConfigurationError for chips whose leakage could run away.
    """
    check_runaway(skus, plants, parts.air_row())
    limits = parts.return_limits()
    air = {"dry_bulb_c": warmest.dry_bulb_c, "wet_bulb_c": warmest.wet_bulb_c}
    board_w = skus.sleds.cpu_w + skus.sleds.nitro_w + skus.sleds.switch_w
    for loop, kind in enumerate(fleet_map.kind_of_loop):
        chips, sleds = fleet_map.chips_in_loop(loop), fleet_map.sleds_in_loop(loop)
        chip_w, other_w = float(skus.chips.tdp_w[chips].sum()), board_w[sleds]
        if kind is LoopKind.AIR:
            row, heat_w = parts.air_row(), chip_w + float(other_w.sum())
            capacity = air_row(row, limits, handler_share=heat_w / row.handler_w, **air)
        else:
            heat_w = chip_w + float(skus.sleds.other_liquid_ratio[sleds] @ other_w)
            if kind is LoopKind.LIQUID_TO_LIQUID:
                capacity = liquid_to_liquid(plants[loop], limits, **air)
            else:
                cooler = parts.in_row().coil.scaled(plants[loop].in_row_share)
                hall_c = parts.hall().air_c
                capacity = liquid_to_air(plants[loop], cooler, limits, hall_air_c=hall_c)
        try:
            refuse_impossible(fleet_map.loop_ids[loop], heat_w, capacity)
        except ConfigurationError as error:
            raise ImpossibleLoopError(loop, str(error)) from None


def liquid_to_liquid(
    plant: PlantSettings, limits: ReturnLimits, *, dry_bulb_c: float, wet_bulb_c: float
) -> Capacity:
    """All pumps at full speed, valve open, towers at full fans and rated load."""
    flow = full_flow_lpm(plant)
    water_c = _water_c(plant.facility, dry_bulb_c=dry_bulb_c, wet_bulb_c=wet_bulb_c)
    cold_lpm = plant.exchanger.cold_nominal_lpm
    return_c = limits.coolant_return_c
    hot_w_per_k = float(w_per_k(flow, return_c))
    hot_out_c, _ = heat_exchanger.outlet_temperatures_c(
        hot_in_c=return_c,
        cold_in_c=water_c,
        hot_w_per_k=hot_w_per_k,
        cold_w_per_k=cold_lpm * WATER_W_PER_K_PER_LPM,
        ua=heat_exchanger.ua_w_per_k(plant.exchanger, hot_lpm=flow, cold_lpm=cold_lpm),
    )
    return Capacity(
        heat_w=max(return_c - hot_out_c, 0.0) * hot_w_per_k,
        flow_lpm=flow,
        sink_c=water_c,
        return_c=return_c,
        medium="coolant",
    )


def liquid_to_air(
    plant: PlantSettings, cooler: CoilSettings, limits: ReturnLimits, *, hall_air_c: float
) -> Capacity:
    """All pumps and fans at full speed."""
    flow = full_flow_lpm(plant)
    return Capacity(
        heat_w=_coil_w(cooler, limits.coolant_return_c, hall_air_c, flow),
        flow_lpm=flow,
        sink_c=hall_air_c,
        return_c=limits.coolant_return_c,
        medium="coolant",
    )


def air_row(
    row: AirRowSettings,
    limits: ReturnLimits,
    *,
    handler_share: float,
    dry_bulb_c: float,
    wet_bulb_c: float,
) -> Capacity:
    """Handler at full fans and full water; `handler_share` is its size over that of the settings.

    What its fans add to the air is taken off.
    """
    handler = row.handler.scaled(handler_share)
    water_c = _water_c(row.facility, dry_bulb_c=dry_bulb_c, wet_bulb_c=wet_bulb_c)
    lpm = handler.liquid_nominal_lpm
    taken_w = -coil.exchanged_w(
        handler,
        liquid_in_c=water_c,
        air_in_c=limits.air_return_c,
        liquid_lpm=lpm,
        liquid_w_per_k=lpm * WATER_W_PER_K_PER_LPM,
        fan_ratio=1.0,
        fouling_ratio=0.0,
    )
    return Capacity(
        heat_w=max(float(taken_w) - coil.fan_power_w(handler, 1.0), 0.0),
        flow_lpm=lpm,
        sink_c=water_c,
        return_c=limits.air_return_c,
        medium="air",
    )


def refuse_impossible(loop_id: str, heat_w: float, capacity: Capacity) -> None:
    """ConfigurationError with the numbers where chips and sleds can draw more than is carried."""
    if heat_w > capacity.heat_w:
        carrier = "coolant" if capacity.medium == "coolant" else "water"
        raise ConfigurationError(
            f"{loop_id}: its chips and sleds can give {heat_w / 1e3:.0f} kW to the"
            f" {capacity.medium}, but full flow ({capacity.flow_lpm:.0f} l/min of {carrier})"
            f" carries at most {capacity.heat_w / 1e3:.0f} kW from {capacity.return_c:.0f} C down"
            f" to {capacity.sink_c:.1f} C; give it fewer or cooler chips, or a larger loop"
        )


def full_flow_lpm(plant: PlantSettings) -> float:
    """Every pump at full speed against the loop as designed."""
    design_lpm, parts = plant.exchanger.hot_nominal_lpm, plant.hydraulics
    design_kpa = parts.plates_kpa + parts.couplings_kpa + parts.header_kpa
    system = SystemCurve(
        coefficient=design_kpa / design_lpm**parts.exponent,
        knee_lpm=parts.laminar_ratio * design_lpm,
        exponent=parts.exponent,
    )
    return pump.operating_point(plant.pump, (1.0,) * plant.pumps, system)[0]


def _water_c(settings: FacilitySettings, *, dry_bulb_c: float, wet_bulb_c: float) -> float:
    settled = facility.reject(
        settings,
        dry_bulb_c=dry_bulb_c,
        wet_bulb_c=wet_bulb_c,
        heat_w=1.0,
        rated_w=1.0,
        fan_limit_ratio=1.0,
    )
    return float(settled.supply_c)


def _coil_w(cooler: CoilSettings, coolant_c: float, air_c: float, flow_lpm: float) -> float:
    rate = flow_lpm * float(w_per_k_per_lpm(coolant_c))
    exchanged = coil.exchanged_w(
        cooler,
        liquid_in_c=coolant_c,
        air_in_c=air_c,
        liquid_lpm=flow_lpm,
        liquid_w_per_k=rate,
        fan_ratio=1.0,
        fouling_ratio=0.0,
    )
    return max(float(exchanged), 0.0)
