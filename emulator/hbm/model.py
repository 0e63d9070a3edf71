"""Memory wear of a whole fleet, in the steps of docs/memory-errors.md."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emulator.hbm.arrhenius import arrival_factor, burst_factor, infant_factor
from emulator.hbm.locations import Locations, worsening_ratio
from emulator.hbm.memory import ChipMemory
from emulator.hbm.registers import STACKS, EccRegisters, Overflow, RepairState
from emulator.hbm.repair import RowRepairs
from emulator.hbm.settings import HbmSettings
from emulator.hbm.status import NrtStatus
from emulator.hbm.truth import ADDRESS, MemoryTruth, Rows, TruthLog
from thermal.arrays import BoolArray, FloatArray, IntArray

_S_PER_H: Final = 3600.0
_SEEN: Final = ("chip", "location", "fault_class", *ADDRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class HbmEvents:
    """Uncorrected errors of one step; a chip may stand more than once."""

    chips: NDArray[np.int64]
    status: NDArray[np.int64]
    """`NrtStatus` of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """One step; arrays [chips]."""

    dt_s: float
    on: BoolArray
    hbm_c: FloatArray
    hbm_ratio: FloatArray
    decay_ratio: FloatArray


class HbmModel:
    """All chips' memories. `dead` chips [chips] can not be used until they are replaced."""

    def __init__(
        self,
        settings: HbmSettings,
        memory: ChipMemory,
        rng: np.random.Generator,
        *,
        overflow: Overflow = Overflow.SATURATE,
        truth: TruthLog | None = None,
    ) -> None:
        self._settings = settings
        self._memory = memory
        self._rng = rng
        self._now_s = 0.0
        self._installed_at_s = np.full(memory.chips, -settings.arrivals.age_s)
        self._worsening_ratio = worsening_ratio(settings)
        self._frailty_factor = self._frailties(memory.chips)
        self._weigh()
        self._locations = Locations(settings, np.minimum(memory.stacks, STACKS), rng)
        self._repairs = RowRepairs(settings.repair, rng)
        self.registers = EccRegisters(memory.chips, overflow)
        self.truth = truth if truth is not None else TruthLog()
        self.dead: BoolArray = np.zeros(memory.chips, dtype=np.bool_)
        self.failed_total: dict[NrtStatus, NDArray[np.int64]] = {
            status: np.zeros(memory.chips, dtype=np.int64) for status in NrtStatus
        }
        """Failed executions by status, [chips]."""
        self._populate()

    @property
    def chips(self) -> int:
        return self._memory.chips

    # --- one step ----------------------------------------------------------------------------

    def step(
        self,
        dt_s: float,
        *,
        powered: BoolArray,
        hbm_c: FloatArray,
        hbm_ratio: FloatArray,
        storm_per_s: FloatArray,
        decay_ratio: FloatArray,
    ) -> HbmEvents:
        """Advance by `dt_s`, through which the arrays [chips] hold; what could not be corrected.

        Storms add corrected errors; `decay_ratio` is the strength of an injected decay.
        """
        span = _Span(
            dt_s=dt_s,
            on=powered & ~self.dead,
            hbm_c=hbm_c,
            hbm_ratio=hbm_ratio,
            decay_ratio=decay_ratio,
        )
        born_s = self._arrive(span)  #                        1. locations become faulty
        ends_s = self._ends_s(born_s, span)  #                2. some of them uncorrectably
        self._show(born_s, ends_s, span)  #                   3. corrected errors, in bursts
        self._storm(storm_per_s, span)  #                     4. injected ones
        hbm = self._break(ends_s, span)  #                    5. uncorrected errors
        sram = self._flip(span)  #                            6. errors outside of the HBM
        self._now_s += dt_s
        return _joined(hbm, sram)

    def _arrive(self, span: _Span) -> NDArray[np.float64]:
        """Add new faults; seconds into the step at which each location begins, 0 if before."""
        chips, at_s = self._arrivals(span)
        decayed, decayed_at_s = self._decayed(span)
        chips, at_s = np.concatenate([chips, decayed]), np.concatenate([at_s, decayed_at_s])
        before = len(self._locations.table)
        if len(chips):
            fresh = self._locations.add(chips)
            self._tell(MemoryTruth.LATENT, fresh, self._now_s + at_s)
        return np.concatenate([np.zeros(before), at_s])

    def _arrivals(self, span: _Span) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Poisson arrivals by thinning: candidates at the highest rate, kept by their own."""
        settings = self._settings.arrivals
        young = self._now_s - self._youngest_at_s < settings.infant_s
        hottest_c = np.nanmax(span.hbm_c, initial=0.0, keepdims=True)
        highest = float(arrival_factor(settings, hottest_c)[0])
        highest *= max(settings.infant_factor, 1.0) if young else 1.0
        number = self._rng.poisson(self._weights_per_s[-1] * highest * span.dt_s)
        drawn = self._rng.random(number) * self._weights_per_s[-1]
        chips = np.searchsorted(self._weights_per_s, drawn, side="right")
        at_s = self._rng.random(number) * span.dt_s
        age_s = self._now_s + at_s - self._installed_at_s[chips]
        rate = arrival_factor(settings, span.hbm_c[chips]) * infant_factor(settings, age_s)
        kept = span.on[chips] & (self._rng.random(number) * highest < rate)
        return chips[kept].astype(np.int64), at_s[kept]

    def _decayed(self, span: _Span) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        decaying = np.flatnonzero((span.decay_ratio > 0.0) & span.on & (self._memory.stacks > 0))
        rate_per_s = self._settings.decay.faults_per_h / _S_PER_H * span.decay_ratio[decaying]
        chips = np.repeat(decaying, self._rng.poisson(rate_per_s * span.dt_s)).astype(np.int64)
        return chips, self._rng.random(len(chips)) * span.dt_s

    def _ends_s(self, born_s: NDArray[np.float64], span: _Span) -> NDArray[np.float64]:
        chips = self._locations.table["chip"]
        factor = 1.0 + self._settings.decay.conversion_factor * span.decay_ratio[chips]
        ends_s = self._locations.ends_s(born_s, factor)
        ends_s[~span.on[chips]] = np.inf
        return ends_s

    def _show(self, born_s: NDArray[np.float64], ends_s: NDArray[np.float64], span: _Span) -> None:
        corrected, chips = self._settings.corrected, self._locations.table["chip"]
        idle_ratio = corrected.idle_ratio
        traffic = idle_ratio + (1.0 - idle_ratio) * span.hbm_ratio[chips]
        factor = span.on[chips] * traffic * burst_factor(corrected, span.hbm_c[chips])
        shown = self._locations.show(born_s, np.minimum(ends_s, span.dt_s), factor, span.dt_s)
        if not len(shown.rows):
            return
        seen = self._locations.table[shown.rows]
        self.registers.count_corrected(seen["chip"], seen["stack"], shown.errors)
        addresses, errors = self._locations.addresses(shown)
        self._tell(MemoryTruth.CORRECTED, addresses, self._now_s + span.dt_s, count=errors)

    def _storm(self, storm_per_s: FloatArray, span: _Span) -> None:
        stormy = np.flatnonzero((storm_per_s > 0.0) & span.on & (self._memory.stacks > 0))
        if len(stormy):
            errors = self._rng.poisson(storm_per_s[stormy] * span.dt_s)
            stacks = stormy % self._memory.stacks[stormy]
            self.registers.count_corrected(stormy, stacks, errors)

    def _break(self, ends_s: NDArray[np.float64], span: _Span) -> HbmEvents:
        over = ends_s < span.dt_s
        at_s = self._now_s + ends_s[over]
        broken = self._locations.drop(over)
        chips = broken["chip"].astype(np.int64)
        repairable = self._memory.repairable[chips]
        self.registers.count_uncorrected(chips, broken["stack"], repairable)
        self._repairs.wait(broken[repairable])
        self.dead[chips[~repairable]] = True
        self._tell(MemoryTruth.UNCORRECTED, broken, at_s, count=broken["shown"])
        status = np.where(repairable, NrtStatus.HBM_REPAIRABLE, NrtStatus.HBM_UNCORRECTED)
        return self._raised(chips, status.astype(np.int64))

    def _flip(self, span: _Span) -> HbmEvents:
        sram = self._settings.sram
        corrected, _ = self._anywhere(sram.corrected_per_h, span)
        chips, at_s = self._anywhere(sram.uncorrected_per_h, span)
        self.registers.count_sram(corrected, chips)
        self.dead[chips] = True
        self.truth.add(
            MemoryTruth.SRAM_UNCORRECTED, len(chips), at_s=self._now_s + at_s, chip=chips
        )
        return self._raised(chips, np.full(len(chips), NrtStatus.SRAM_UNCORRECTED, dtype=np.int64))

    def _anywhere(
        self, rate_per_h: float, span: _Span
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Poisson arrivals at one rate on every chip that runs."""
        number = self._rng.poisson(self.chips * rate_per_h / _S_PER_H * span.dt_s)
        chips = self._rng.integers(0, self.chips, number)
        at_s = self._rng.random(number) * span.dt_s
        return chips[span.on[chips]], at_s[span.on[chips]]

    def _raised(self, chips: NDArray[np.int64], status: NDArray[np.int64]) -> HbmEvents:
        for code, total in self.failed_total.items():
            np.add.at(total, chips[status == code], 1)
        return HbmEvents(chips=chips, status=status)

    # --- upkeep ------------------------------------------------------------------------------

    def reload(self, chips: IntArray) -> None:
        """The driver is loaded again: pending repairs are tried, and what fails loses the chip."""
        pending = self.registers.repair_state[chips] == RepairState.PENDING
        for chip in chips[pending].tolist():
            cured = True
            for location, repaired in self._repairs.reload(chip):
                cured &= repaired
                kind = MemoryTruth.REPAIRED if repaired else MemoryTruth.REPAIR_FAILED
                self._tell(kind, location, self._now_s)
            self.registers.end_repair(chip, RepairState.NONE if cured else RepairState.FAILED)
            self.dead[chip] |= not cured

    def power_up(self, chips: IntArray) -> None:
        """Counts begin at 0, and the driver is loaded."""
        self.registers.clear(chips)
        for total in self.failed_total.values():
            total[chips] = 0
        self.reload(chips)

    def replace(self, chips: IntArray) -> None:
        """Put new chips in the place of these."""
        if not len(chips):
            return
        self.registers.clear(chips)
        for chip in chips.tolist():
            self._repairs.forget(chip)
            self.registers.end_repair(chip, RepairState.NONE)
        self.dead[chips] = False
        self._locations.drop(np.isin(self._locations.table["chip"], chips))
        self._installed_at_s[chips] = self._now_s
        self._frailty_factor[chips] = self._frailties(len(chips))
        self._weigh()
        self.truth.add(MemoryTruth.REPLACED, len(chips), at_s=self._now_s, chip=chips)

    # --- parts -------------------------------------------------------------------------------

    def _frailties(self, chips: int) -> NDArray[np.float64]:
        """Lognormal of mean 1, so that a fleet has the published rate."""
        sigma = self._settings.arrivals.frailty_sigma
        return self._rng.lognormal(-0.5 * sigma**2, sigma, chips)

    def _weigh(self) -> None:
        """Rates of latent faults at the reference, summed up over the chips."""
        latent_per_s = self._memory.uncorrected_per_s * self._frailty_factor
        self._latent_per_s = latent_per_s / self._worsening_ratio
        self._weights_per_s = np.cumsum(self._latent_per_s)
        self._youngest_at_s = float(self._installed_at_s.max(initial=-np.inf))

    def _populate(self) -> None:
        """Faults of before: all that only show, and of those that worsen the ones under way."""
        arrivals, uncorrected = self._settings.arrivals, self._settings.uncorrected
        young_s = min(arrivals.age_s, arrivals.infant_s)
        lived_s = arrivals.age_s + (arrivals.infant_factor - 1.0) * young_s
        mean_s = uncorrected.delay_median_s / np.log(2.0)
        under_way_s = min(mean_s, arrivals.age_s)
        shows_ratio = 1.0 - self._worsening_ratio
        for worsening, expected in (
            (False, self._latent_per_s * shows_ratio * lived_s),
            (True, self._latent_per_s * self._worsening_ratio * under_way_s),
        ):
            chips = np.repeat(np.arange(self.chips), self._rng.poisson(expected))
            self._locations.add_aged(chips, worsening=worsening)

    def _tell(
        self,
        kind: MemoryTruth,
        rows: Rows,
        at_s: NDArray[np.float64] | float,
        count: NDArray[np.int64] | int = 0,
    ) -> None:
        columns = {name: rows[name] for name in _SEEN}
        self.truth.add(kind, len(rows), at_s=at_s, count=count, **columns)


def _joined(first: HbmEvents, second: HbmEvents) -> HbmEvents:
    return HbmEvents(
        chips=np.concatenate([first.chips, second.chips]),
        status=np.concatenate([first.status, second.status]),
    )
