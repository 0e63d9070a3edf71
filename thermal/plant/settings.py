"""Every parameter of the plant, by part, with unit and source.

Defaults describe one cooling loop of two Trn3 Gen2 UltraServers: 288 chips of 1 kW in 72 sleds,
a 360 kW CDU, 540 l/min of PG25 at 40 C. `PlantSettings.sized` scales what grows with the load.
"""

from dataclasses import dataclass, field, replace
from typing import Self

from thermal.coil import CoilSettings
from thermal.cold_plate import ColdPlateSettings
from thermal.facility import FacilitySettings
from thermal.heat_exchanger import ExchangerSettings
from thermal.manifold import EXPONENT
from thermal.pump import PumpCurve, PumpDrive
from thermal.valve import ValveSettings

DEFAULT_CHIPS = 288


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipSettings:
    """Package and die on a cold plate. All figures are estimates."""

    junction_to_case_k_per_w: float = 0.012
    """8..20 K/kW by package and interface."""
    junction_j_per_k: float = 70.0
    plate_j_per_k: float = 140.0
    """0.36 kg of copper."""
    coolant_j_per_k: float = 300.0
    """75 ml in plate, plena and its own hoses; the trays of a Vera Rubin rack hold 14 l for 72
    packages, CPUs and the rest of the hoses included. With 25 ml, load that is shed in time would
    still drive a chip 8 K above what the reference reports; see `ColdPlateSettings`."""
    hbm_rise_k_per_w: float = 0.0055
    """HBM over junction per watt of the chip: +3..+8 K at 1 kW."""
    hbm_lag_s: float = 2.0
    resistance_spread_ratio: float = 0.03
    """One sigma of plate and interface resistance between chips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SledSettings:
    """What shares a sled's coolant with its chips."""

    chip_lpm: float = 1.5
    """Design flow of a 1 kW plate: 10 K rise (OCP OAI liquid cooling guidelines)."""
    other_lpm: float = 1.5
    """Estimate: plates of CPU, NIC and switch together."""
    other_j_per_k: float = 1_500.0
    """Estimate: metal and coolant of those plates."""
    hose_s: float = 2.0
    """Estimate: how long coolant takes between manifold and plates at design flow; hoses are of the
    size of their sled's own flow, 0.25 l at the 7.5 l/min of four plates.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class HydraulicSettings:
    """Pressure drops at the design flow, and how much branches differ."""

    exponent: float = EXPONENT
    plates_kpa: float = 56.0
    """Estimate: sled total of 70 kPa (MGX: about 10 psi a node) less the couplings."""
    couplings_kpa: float = 14.0
    """Estimate: two quick disconnects."""
    header_kpa: float = 110.0
    """Heat exchanger 80 kPa (LBNL records), pipes and filter 30 kPa (estimate)."""
    laminar_ratio: float = 0.3
    """Share of the design flow below which the loop turns laminar (LBNL default)."""
    viscosity_exponent: float = 0.2
    """dP scales with mu^0.15..0.25 in the turbulent and transition range (estimate)."""
    sled_spread_ratio: float = 0.05
    """Estimate: one sigma of a sled's coefficient."""
    manifold_gradient_ratio: float = 0.05
    """Estimate: rise of the coefficient from the first to the last sled of the manifold."""
    coupling_ageing_ratio: float = 0.3
    """Estimate: coefficients of quick disconnects rise by 0..30 %."""
    chip_spread_ratio: float = 0.02
    """Estimate: one sigma of a cold plate's conductance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipeSettings:
    """Volumes and lags between the sleds and the heat exchanger."""

    header_l: float = 54.0
    """Each way: 150 l/MW (150..300, estimate), 6 s of transit at the design flow."""
    exchanger_lag_s: float = 4.0
    """Estimate: metal and fluid of the heat exchanger at design flows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VesselSettings:
    """Closed expansion vessel: a leak shows as a falling pressure before the level."""

    volume_l: float = 6.4
    """Coolant it can give: 24 l on a 1.35 MW CDU (LBNL XDU1350 record)."""
    gas_l: float = 6.4
    """Estimate: gas cushion when full."""
    fill_kpa: float = 150.0
    """Estimate: gauge pressure at the pump inlet when full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GasSettings:
    """Gas carried round with the coolant, by its share of the volume. All figures are estimates."""

    head_loss_factor: float = 5.0
    """Share of the pumps' head lost for each share of gas; centrifugal pumps lose their prime at
    10..20 % of gas."""
    film_loss_factor: float = 2.0
    """Share by which plate resistance grows for each share of gas."""
    noise_ratio: float = 0.3
    """One sigma of the loss from step to step: gas comes in slugs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeatherSettings:
    """What holds until the world says otherwise. Estimates."""

    dry_bulb_c: float = 32.0
    wet_bulb_c: float = 26.0
    hall_air_c: float = 27.0
    hall_humidity_ratio: float = 0.45


@dataclass(frozen=True, slots=True, kw_only=True)
class InRowSettings:
    """Cooler of a liquid-to-air CDU, for `DEFAULT_CHIPS` chips. Estimates."""

    coil: CoilSettings = field(default_factory=CoilSettings)
    fan_ramp_s: float = 30.0
    """0 to 100 % of speed."""
    hall_w_per_w: float = 0.026
    """Fans of the hall's air handlers, which carry the heat on, over the heat: 250 Pa, 55 % wire
    to air, 15 K."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantSettings:
    """One cooling loop from facility water to chip junction."""

    chip: ChipSettings = field(default_factory=ChipSettings)
    plate: ColdPlateSettings = field(default_factory=ColdPlateSettings)
    sled: SledSettings = field(default_factory=SledSettings)
    hydraulics: HydraulicSettings = field(default_factory=HydraulicSettings)
    pipes: PipeSettings = field(default_factory=PipeSettings)
    exchanger: ExchangerSettings = field(default_factory=ExchangerSettings)
    pumps: int = 2
    pump: PumpCurve = field(default_factory=PumpCurve)
    drive: PumpDrive = field(default_factory=PumpDrive)
    valve: ValveSettings = field(default_factory=ValveSettings)
    facility: FacilitySettings = field(default_factory=FacilitySettings)
    weather: WeatherSettings = field(default_factory=WeatherSettings)
    vessel: VesselSettings = field(default_factory=VesselSettings)
    gas: GasSettings = field(default_factory=GasSettings)
    in_row: InRowSettings | None = None
    """A liquid-to-air CDU has this in place of heat exchanger and facility valve."""
    in_row_share: float = 1.0
    """Size of its cooler over `in_row`."""
    start_c: float = 35.0
    """Temperature of everything at the start."""
    longest_step_s: float = 0.25
    """Longer steps are cut into equal parts no longer than this."""

    @classmethod
    def sized(cls, chips: int) -> Self:
        """The defaults for another number of 1 kW chips."""
        return cls().scaled(chips / DEFAULT_CHIPS)

    def scaled(self, factor: float) -> Self:
        """For `factor` times the heat: flows, UA, volumes and pumps in proportion."""
        exchanger = replace(
            self.exchanger,
            ua_w_per_k=self.exchanger.ua_w_per_k * factor,
            hot_nominal_lpm=self.exchanger.hot_nominal_lpm * factor,
            cold_nominal_lpm=self.exchanger.cold_nominal_lpm * factor,
        )
        vessel = replace(
            self.vessel,
            volume_l=self.vessel.volume_l * factor,
            gas_l=self.vessel.gas_l * factor,
        )
        return replace(
            self,
            exchanger=exchanger,
            vessel=vessel,
            pipes=replace(self.pipes, header_l=self.pipes.header_l * factor),
            pump=replace(self.pump, runout_lpm=self.pump.runout_lpm * factor),
            drive=replace(self.drive, rated_w=self.drive.rated_w * factor),
            in_row_share=self.in_row_share * factor,
        )
