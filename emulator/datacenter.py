"""The world: requests become products, products become heat, heat becomes coolant temperature."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count

import numpy as np
import structlog

from emulator.breakdowns import Breakdowns
from emulator.capacity import check_hall
from emulator.cdu import FANS, CduSettings, Firmware
from emulator.chip import ChipBank
from emulator.fabric import Fabric
from emulator.faults.boards import sleds_as_built
from emulator.faults.book import FaultBook
from emulator.faults.fault import Fault
from emulator.faults.kinds import FaultKind
from emulator.faults.reach import cdus_as_reached, sleds_as_reached
from emulator.hall_cooling import HallCooling
from emulator.hbm.memory import chip_memory
from emulator.hbm.model import HbmModel
from emulator.hbm.upkeep import MemoryUpkeep
from emulator.options import EmulatorOptions
from emulator.panel import Hall, Panel
from emulator.readings import CduReadings, CduRequests, JobSpec, SledReadings, SledRequests
from emulator.sensing import CduFirmware, Sensors
from emulator.sensors import FleetSensors, meter_sizes
from emulator.serving.backlog import Backlog
from emulator.serving.replica import BatchLimits
from emulator.serving.report import ServingReport
from emulator.serving.services import Serving, Work
from emulator.serving.trace import read_trace
from emulator.serving.traffic import Arrivals, GeneratedTraffic, Replay, Scaled, TraceTraffic
from emulator.skus import FleetSkus
from emulator.sled import SledPower, sled_power, vcpu_busy_ratio
from emulator.weather import WeatherTable, generated, hall_weather, read
from emulator.workload import ProductRecord, WorkloadEngine
from fleet.clock import Clock
from fleet.topology import FleetMap, LoopKind
from thermal.arrays import FloatArray
from thermal.plant.settings import PlantSettings

_log = structlog.get_logger(__name__)


def _firmware(kind: LoopKind, pumps: int) -> CduFirmware:
    by_air = kind is LoopKind.LIQUID_TO_AIR
    return Firmware(CduSettings(valve=FANS) if by_air else CduSettings(), pumps=pumps)


class World:
    """One hall. Rows are sleds and CDUs in FleetMap order.

    One thread steps it. Others read the last readings, which are replaced whole, and write the
    request registers; neither needs a lock. Raises ConfigurationError for options, a trace or a
    fleet that can not be used.
    """

    def __init__(
        self,
        options: EmulatorOptions,
        fleet_map: FleetMap,
        rng: np.random.Generator,
        clock: Clock,
        *,
        sensors: Sensors | None = None,
        firmware: Callable[[LoopKind, int], CduFirmware] = _firmware,
    ) -> None:
        options.validate()
        self.options = options
        self.fleet_map = fleet_map
        self.load_ratio = options.load_ratio
        self.skus = FleetSkus(fleet_map)
        self.now_s = 0.0
        """Emulated seconds since the world began."""
        self._clock = clock
        chips = fleet_map.chips
        plant_rng, product_rng, ecc_rng, traffic_rng, sensor_rng, chance_rng = rng.spawn(6)
        self._sensors: Sensors = (
            sensors
            if sensors is not None
            else FleetSensors(sensor_rng, sizes=meter_sizes(self.skus))
        )
        self._panel = Panel(fleet_map, self._sensors, self.skus)
        self._weather = _weather_source(options, rng.spawn(1)[0])
        self._hall = options.plant.hall()
        self.loops = HallCooling(
            self.skus,
            plant_rng,
            settings=_plants(options, self.skus, self._weather),
            air_row=options.plant.air_row(),
            longest_step_s=options.longest_plant_step_s,
            firmware=firmware,
        )
        self.chips = ChipBank.at_rest(self.skus.chips)
        self.fabric = Fabric(self.skus)
        self.hbm = HbmModel(
            options.hbm,
            chip_memory(fleet_map, options.hbm),
            ecc_rng,
            overflow=options.ecc_overflow,
        )
        self.breakdowns = Breakdowns(options.breakdowns, fleet_map, chance_rng)
        self._memory = MemoryUpkeep(
            self.hbm,
            reload_s=options.reload_s,
            replace_at_power_up=options.replace_at_power_up,
        )
        self.engine = WorkloadEngine(chips, product_rng, options=options.products)
        self.products = ProductRecord(chips)
        self.serving = _serving(options, self.skus, self.fabric, traffic_rng)
        self._backlog = Backlog(self.skus.chips, peak_flop_per_s=options.emulated_peak_flop_per_s)
        self._book = FaultBook(fleet_map, pumps=self.loops.pumps)
        self._requests = tuple(
            SledRequests(chips=int(chips_of_sled)) for chips_of_sled in fleet_map.chips_of_sled
        )
        self._jobs: list[Mapping[str, JobSpec]] = []
        self._powered = np.ones(fleet_map.sleds, dtype=np.bool_)
        self._vcpu_ratio = self.skus.sleds.vcpu_idle_ratio
        self._spilled_l = np.zeros(fleet_map.sleds)
        self.outdoor = self._weather.at(0.0)
        """Outdoor air of this moment."""
        self.broken = self._book.columns(0.0)
        """What is broken at this moment."""
        self._sled_power = self._draw_sleds()
        self._chip_j = self._plant_j = 0.0
        self._publish(0.0)
        self._settle()

    # --- one step ----------------------------------------------------------------------------

    def step(self, dt_s: float) -> None:
        """Advance the world by `dt_s` emulated seconds."""
        self._break(dt_s)  #                 1. faults that begin or end
        self._obey()  #                      2. what devices were told: power, caps, jobs
        work = self._serve(dt_s)  #          3. requests arrive and are served by replicas
        self._execute(work, dt_s)  #         4. real products run; what ran becomes watts
        self._cool(dt_s)  #                  5. heat meets plates, coolant, CDU, facility water
        self._meter(dt_s)
        self._wear(dt_s)  #                  6. memory errors, breakdowns
        self.now_s += dt_s
        self._publish(dt_s)  #               7. sensors look; readings are replaced

    def _break(self, dt_s: float) -> None:
        self.broken = self._book.columns(self.now_s)
        self.loops.break_parts(self.broken)
        self.fabric.break_links(self.broken.link_lost, self.broken.switch_lost)
        self._book.break_sensors(self._sensors, self.now_s)
        leak_lpm = self.loops.leak_lpm()
        # What has spilled is wiped up when the leak is mended, not when its branch is shut.
        wet = self.broken.leak_lpm > 0.0
        self._spilled_l = np.where(wet, self._spilled_l + leak_lpm * dt_s / 60.0, 0.0)

    def _obey(self) -> None:
        asked = np.array([requests.powered for requests in self._requests])
        powered = asked & ~self.broken.sled_power_lost
        for row in np.flatnonzero(self._powered & ~powered).tolist():
            self._requests[row].lose_jobs()
        self._powered = powered
        self.loops.isolate(np.array([requests.isolated for requests in self._requests]))
        caps = [ratio for asked in self._requests for ratio in asked.power_cap_ratio]
        self.chips.protect(
            powered=powered[self.fleet_map.sled_of_chip],
            cap_ratio=np.clip(np.array(caps), 0.0, 1.0),
            slow_ratio=self.broken.slow_ratio * self.breakdowns.slow_ratio,
            dead=self.broken.chip_dead | self.breakdowns.dead,
            unfit=self.hbm.dead,
            junction_c=self.loops.column("junction_c"),
        )
        jobs = [asked.jobs for asked in self._requests]
        if len(jobs) != len(self._jobs) or any(
            new is not old for new, old in zip(jobs, self._jobs, strict=True)
        ):
            self._jobs = jobs
            if self.serving.reconcile(jobs, self.now_s):
                self.engine.place(self.serving.shapes())

    def _serve(self, dt_s: float) -> Work:
        return self.serving.serve(
            self.now_s,
            dt_s,
            load_ratio=self.load_ratio,
            speed_ratio=self.chips.speed_ratio,
            usable=self.chips.usable,
        )

    def _execute(self, work: Work, dt_s: float) -> None:
        junction_c = self.loops.column("junction_c")
        self._backlog.add(work, usable=self.chips.usable, dt_s=dt_s)
        self.chips.expect(*self._backlog.asked(work, dt_s))
        allowed = self.chips.allowed_ratio(*self._backlog.wanted(dt_s), junction_c)
        lost_s = np.where(self.chips.usable, 1.0 - allowed, 0.0) * dt_s
        self.serving.stall(lost_s, self.now_s + dt_s)
        orders = self._backlog.orders(allowed, dt_s)
        executed = self.engine.execute(replace(orders, expected_flips=self.broken.sdc_per_s * dt_s))
        self.products.keep(executed)
        self.chips.draw(*self._backlog.settle(executed.flop, dt_s), junction_c)
        busy = self._by_sled(np.maximum(self.chips.tensor_ratio, self.chips.hbm_ratio))
        self._vcpu_ratio = vcpu_busy_ratio(self.skus.sleds, busy / self.fleet_map.chips_of_sled)

    def _cool(self, dt_s: float) -> None:
        self._sled_power = self._draw_sleds()
        self.outdoor = self._weather.at(self.now_s)
        self.loops.expose(hall_weather(self._hall, self.outdoor))
        self.loops.step(
            dt_s,
            chip_power_w=self.chips.power_w,
            sled_other_w=self._sled_power.other_w,
            sled_other_liquid_w=self._sled_power.other_liquid_w,
            sensed=self._cdu_readings,
            now_monotonic_s=self._clock.monotonic_s(),
        )

    def _meter(self, dt_s: float) -> None:
        """Energy of chips, and of all that the hall and its heat rejection take."""
        chip_w, plant_w = float(self.chips.power_w.sum()), float(self._sled_power.total_w.sum())
        plant_w += self.loops.electric_w
        self._chip_j += chip_w * dt_s
        self._plant_j += plant_w * dt_s

    def _wear(self, dt_s: float) -> None:
        failed = self._memory.step(
            dt_s,
            powered=self.chips.powered,
            hbm_c=self.loops.column("hbm_c"),
            hbm_ratio=self.chips.hbm_ratio,
            storm_per_s=self.broken.storm_per_s,
            decay_ratio=self.broken.hbm_decay_ratio,
        )
        failed |= self.breakdowns.step(dt_s, powered=self.chips.powered)
        self.serving.interrupt(failed, self.now_s + dt_s + self.options.reload_s)

    def _publish(self, dt_s: float) -> None:
        hall = Hall(
            chips=self.chips,
            products=self.products,
            hbm=self.hbm,
            loops=self.loops,
            powered=self._powered,
            sled_power_w=self._sled_power.total_w + self.loops.sled_fans_w,
            vcpu_ratio=self._vcpu_ratio,
            spilled_l=self._spilled_l,
            chip_memory_bytes=self.serving.used_bytes().tolist(),
            jobs=[self.serving.running_jobs(row) for row in range(self.fleet_map.sleds)],
        )
        at_unix_ns = self._clock.unix_ns()
        sleds = self._panel.sleds(hall, self._requests, at_unix_ns, dt_s)
        cdus = self._panel.cdus(self.loops, self.loops.requests, self._spilled_l, at_unix_ns, dt_s)
        built = sleds_as_built(sleds, self.broken, self.fleet_map)
        self._sled_readings = sleds_as_reached(built, self.broken)
        self._cdu_readings = cdus_as_reached(cdus, self.broken)

    def serving_report(self, model: str | None = None) -> ServingReport:
        """Of one model, or of all; energy is that of the whole hall since the world began."""
        return self.serving.report(
            chip_j=self._chip_j,
            plant_j=self._plant_j,
            prices=self.options.prices,
            model=model,
        )

    # --- what devices use --------------------------------------------------------------------

    def sled_readings(self, row: int) -> SledReadings:
        return self._sled_readings[row]

    def cdu_readings(self, row: int) -> CduReadings:
        return self._cdu_readings[row]

    def sled_requests(self, row: int) -> SledRequests:
        return self._requests[row]

    def cdu_requests(self, row: int) -> CduRequests:
        return self.loops.requests[row]

    def inject(self, fault: Fault) -> None:
        """UnknownIdError for a place that is not in the fleet, ConfigurationError for a severity
        outside the kind's span. In force from the next step.
        """
        self._book.inject(fault, self.now_s)

    def clear(self, kind: FaultKind, place: str) -> None:
        """Idempotent."""
        self._book.clear(kind, place)

    def faults(self) -> tuple[Fault, ...]:
        """Injected and not over; some may not have begun."""
        return self._book.known()

    def severities(self) -> tuple[tuple[Fault, float], ...]:
        """What is broken at this moment, and how much of it; no device tells this."""
        return self._book.severities(self.now_s)

    # --- parts -------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Circulate coolant through the idle hall, so that it is first seen in operation."""
        for _ in range(round(self.options.settle_s)):
            self._obey()
            self.chips.draw(
                self.chips.tensor_ratio, self.chips.hbm_ratio, self.loops.column("junction_c")
            )
            self._cool(1.0)
            self._cdu_readings = self._panel.cdus(
                self.loops, self.loops.requests, self._spilled_l, self._clock.unix_ns(), 1.0
            )
        self._publish(0.0)

    def _by_sled(self, chip_values: FloatArray) -> FloatArray:
        return np.add.reduceat(chip_values, self.fleet_map.first_chip_of_sled)

    def _draw_sleds(self) -> SledPower:
        return sled_power(
            self.skus.sleds,
            chip_w=self._by_sled(self.chips.power_w),
            vcpu_ratio=self._vcpu_ratio,
            powered=self._powered,
            fed=~self.broken.sled_power_lost,
        )


def _serving(
    options: EmulatorOptions, skus: FleetSkus, fabric: Fabric, rng: np.random.Generator
) -> Serving:
    limits = BatchLimits(
        max_batch=options.max_batch,
        prefill_tokens=options.prefill_tokens,
        max_waiting=options.max_waiting,
        block_tokens=options.kv_block_tokens,
    )
    return Serving(skus.fleet_map, skus, limits, _arrivals_source(options, rng), fabric)


def _plants(
    options: EmulatorOptions, skus: FleetSkus, weather: WeatherTable
) -> list[PlantSettings]:
    """Of each loop; ConfigurationError for what can not be cooled."""
    plants = options.plant.liquid_loops(skus.fleet_map, skus, options.rejection)
    check_hall(skus.fleet_map, skus, plants, parts=options.plant, warmest=weather.warmest())
    return plants


def _weather_source(options: EmulatorOptions, rng: np.random.Generator) -> WeatherTable:
    return read(options.weather) if options.weather else generated(options.climate, rng)


def _arrivals_source(options: EmulatorOptions, rng: np.random.Generator) -> Callable[[], Arrivals]:
    """Builds the arrivals of one model; streams of one trace begin at different places in it."""
    if options.trace is None:
        return lambda: Scaled(GeneratedTraffic(rng.spawn(1)[0]))
    table = read_trace(options.trace)
    warning = table.warning(options.trace)
    if warning:
        _log.warning("trace_rows_left_out", detail=warning)
    if options.replay:
        return lambda: Replay(table, speed_ratio=options.replay_speed_ratio)
    starts = (0.618 * number % 1.0 for number in count())
    return lambda: Scaled(TraceTraffic(table, start_ratio=next(starts)))
