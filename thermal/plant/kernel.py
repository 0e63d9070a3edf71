"""Sleds and chips of one make: one implicit step, compiled, in place.

The chain of a chip is junction - plate - coolant - inlet, advanced by backward Euler and solved by
elimination. With S = C / dt for each node, a the junction-to-plate conductance, G plate to coolant
and K coolant to inlet, and j = a / (Sj + a), b = Sp + a (1 - j):

    e = j (Sj Tj + P) / b,    n = (Sp / b) Tp + e,    H = G b / (G + b)   (plate behind its store)
    To' = (So To + K Tin + H n) / (So + K + H),    Tp' = n + (H / b)(To' - n),
    Tj' = (b / a) e + j Tp',    heat into the flow = K (To' - Tin)

Stable for every flow and step; what a step takes in equals what it stores and gives off. All in
single precision, with K and H divided by So. Each column comes from memory once a step, which is
what a fleet's step costs: as one numpy pass a line it took twice as long.
"""

from typing import Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from thermal.arrays import FloatArray, IntArray

Floats = npt.NDArray[np.float32]

_BLOCK_CHIPS: Final = 1024
"""Chips that are worked on together: their scratch stays in the first-level cache."""
_USUAL_CHIPS_PER_SLED: Final = 4
_CHIP_ROWS: Final = 4
_SLED_ROWS: Final = 3
_ONE: Final = np.float32(1.0)
_HALF: Final = np.float32(0.5)
_TWO: Final = np.float32(2.0)
_S_PER_MIN: Final = np.float32(60.0)
# Heat capacity rates below this leave an outlet where it was.
_STILL_W_PER_K: Final = np.float32(1e-3)


class MakeLaw(NamedTuple):
    """The elimination's figures for one make of sled and one step length; single precision."""

    chips_per_sled: int
    step_s: np.float32
    coolant_w_per_k: np.float32
    plate_w_per_k: np.float32
    coolant_share: np.float32
    """So / b: turns H / So into H / b."""
    junction_gain: np.float32
    kept_junction_factor: np.float32
    power_k_per_w: np.float32
    kept_plate_factor: np.float32
    drive_factor: np.float32
    hbm_kept_ratio: np.float32
    hbm_drive_factor: np.float32
    """Of the power already scaled by `power_k_per_w`."""
    usual_w_per_k: np.float32
    """Heat capacity rate from which a chip's film is constant and its coolant warms straight."""
    stagnant_w_per_k: np.float32
    knee_w_per_k: np.float32
    low_flow_exponent: np.float32
    hose_l: np.float32
    other_w_per_k: np.float32
    """Heat store of CPU, NIC and switch over the step length."""


class PlantChips(NamedTuple):
    """[chips] of one make."""

    junction_c: Floats
    plate_c: Floats
    coolant_c: Floats
    hbm_c: Floats
    share: Floats
    """Of its sled's flow."""
    coupling: Floats
    """H / So above the plate's knee."""
    plate_k_per_w: Floats
    power_w: FloatArray


class PlantSleds(NamedTuple):
    """[sleds] of one make."""

    flow_lpm: Floats
    inlet_c: Floats
    other_c: Floats
    outlet_c: Floats
    share: Floats
    """Of its loop's flow."""
    other_share: Floats
    """Of its own flow, past CPU, NIC and switch."""
    other_power_w: FloatArray


class PlantRuns(NamedTuple):
    """[runs] adjacent sleds of one make on one loop."""

    loop: IntArray
    begin: IntArray
    """[runs + 1] among the make's sleds; each run ends where the next begins."""


class PlantLoops(NamedTuple):
    """[loops] what reaches the manifolds during a step, and what leaves them."""

    flow_lpm: FloatArray
    arriving_c: FloatArray
    w_per_k_per_lpm: FloatArray
    rise_k: FloatArray
    """How much warmer the mixed return is than what arrives; added to."""


@numba.njit(nogil=True, error_model="numpy")
def step(
    law: MakeLaw, chips: PlantChips, sleds: PlantSleds, runs: PlantRuns, loops: PlantLoops
) -> None:
    """One step of adjacent sleds of one make."""
    per_sled = law.chips_per_sled
    block = max(1, _BLOCK_CHIPS // per_sled)
    chip_rows = np.empty((_CHIP_ROWS, block * per_sled), np.float32)
    sled_rows = np.empty((_SLED_ROWS, block), np.float32)
    for run in range(len(runs.loop)):
        loop, run_end = runs.loop[run], runs.begin[run + 1]
        for first in range(runs.begin[run], run_end, block):
            end = min(first + block, run_end)
            low, high = first * per_sled, end * per_sled
            own_sleds = PlantSleds(
                sleds.flow_lpm[first:end],
                sleds.inlet_c[first:end],
                sleds.other_c[first:end],
                sleds.outlet_c[first:end],
                sleds.share[first:end],
                sleds.other_share[first:end],
                sleds.other_power_w[first:end],
            )
            own_chips = PlantChips(
                chips.junction_c[low:high],
                chips.plate_c[low:high],
                chips.coolant_c[low:high],
                chips.hbm_c[low:high],
                chips.share[low:high],
                chips.coupling[low:high],
                chips.plate_k_per_w[low:high],
                chips.power_w[low:high],
            )
            _supply(law, own_sleds, loops, loop, sled_rows[0])
            _exchange(law, own_chips, own_sleds.inlet_c, sled_rows[0], chip_rows)
            _advance_chips(law, own_chips, chip_rows)
            _outlets(law, own_sleds, loops, loop, (sled_rows, chip_rows[3]))


@numba.njit(nogil=True, error_model="numpy")
def _supply(
    law: MakeLaw, sleds: PlantSleds, loops: PlantLoops, loop: int, rates_w_per_k: Floats
) -> None:
    """Flow, inlet and heat capacity rate of each sled of a block."""
    arriving, loop_lpm = np.float32(loops.arriving_c[loop]), np.float32(loops.flow_lpm[loop])
    w_per_k_per_lpm = np.float32(loops.w_per_k_per_lpm[loop])
    # The hose as one well mixed volume, implicit like the chips.
    per_lpm = law.step_s / (_S_PER_MIN * law.hose_l)
    for sled in range(len(sleds.share)):
        flow = loop_lpm * sleds.share[sled]
        renewed = flow * per_lpm
        sleds.flow_lpm[sled] = flow
        sleds.inlet_c[sled] = (sleds.inlet_c[sled] + renewed * arriving) / (_ONE + renewed)
        rates_w_per_k[sled] = w_per_k_per_lpm * flow


@numba.njit(nogil=True, error_model="numpy")
def _exchange(
    law: MakeLaw, chips: PlantChips, inlet_c: Floats, rate_w_per_k: Floats, rows: Floats
) -> None:
    """Leaves K / So, H / So and the inlet of each chip of a block in `rows`.

    Above the plate's knee coolant warms straight along the plate (K is twice the rate) and the film
    is constant.
    """
    per_sled = law.chips_per_sled
    rates, couplings, inlets = rows[0], rows[1], rows[2]
    if per_sled == _USUAL_CHIPS_PER_SLED:
        _spread(rate_w_per_k, inlet_c, rates, inlets, _USUAL_CHIPS_PER_SLED)
    else:
        _spread(rate_w_per_k, inlet_c, rates, inlets, per_sled)
    least = law.usual_w_per_k
    for chip in range(len(chips.share)):
        own = rates[chip] * chips.share[chip]
        least = min(least, own)
        rates[chip] = own * (_TWO / law.coolant_w_per_k)
        couplings[chip] = chips.coupling[chip]
    if least < law.usual_w_per_k:
        _slow_exchange(law, chips, rates, couplings)


@numba.njit(nogil=True, error_model="numpy", inline="always")
def _spread(
    rate_w_per_k: Floats, inlet_c: Floats, rates: Floats, inlets: Floats, per_sled: int
) -> None:
    """Each chip gets its sled's; inlined, so that a count known beforehand makes vectors."""
    for sled in range(len(inlet_c)):
        for chip in range(per_sled):
            rates[sled * per_sled + chip] = rate_w_per_k[sled]
            inlets[sled * per_sled + chip] = inlet_c[sled]


@numba.njit(nogil=True, error_model="numpy")
def _slow_exchange(law: MakeLaw, chips: PlantChips, rates: Floats, couplings: Floats) -> None:
    """`_exchange` for the chips of a block whose flow is low."""
    for chip in range(len(chips.share)):
        own = rates[chip] * (_HALF * law.coolant_w_per_k)
        if own < law.usual_w_per_k:
            film = min(max(own, law.stagnant_w_per_k), law.knee_w_per_k) / law.knee_w_per_k
            resistance = chips.plate_k_per_w[chip] * film ** (-law.low_flow_exponent)
            weight = max(_ONE - own * resistance, _HALF)
            rates[chip] = own / (weight * law.coolant_w_per_k)
            couplings[chip] = _ONE / ((_ONE / law.plate_w_per_k + resistance) * law.coolant_w_per_k)


@numba.njit(nogil=True, error_model="numpy")
def _advance_chips(law: MakeLaw, chips: PlantChips, rows: Floats) -> None:
    """The elimination; leaves the heat into the flow, over So, in row 3. Compiles to vectors."""
    to_inlet, couplings, inlets, heats = rows[0], rows[1], rows[2], rows[3]
    for chip in range(len(chips.junction_c)):
        k, h = to_inlet[chip], couplings[chip]
        inlet_heat = k * inlets[chip]
        drive = np.float32(chips.power_w[chip]) * law.power_k_per_w
        e = chips.junction_c[chip] * law.kept_junction_factor + drive
        n = chips.plate_c[chip] * law.kept_plate_factor + e
        coolant = (chips.coolant_c[chip] + inlet_heat + h * n) / (k + h + _ONE)
        plate = n + h * law.coolant_share * (coolant - n)
        junction = e * law.drive_factor + law.junction_gain * plate
        chips.junction_c[chip] = junction
        chips.plate_c[chip] = plate
        chips.coolant_c[chip] = coolant
        chips.hbm_c[chip] = (
            chips.hbm_c[chip] * law.hbm_kept_ratio
            + junction * (_ONE - law.hbm_kept_ratio)
            + drive * law.hbm_drive_factor
        )
        heats[chip] = k * coolant - inlet_heat


@numba.njit(nogil=True, error_model="numpy")
def _outlets(
    law: MakeLaw, sleds: PlantSleds, loops: PlantLoops, loop: int, rows: tuple[Floats, Floats]
) -> None:
    """CPU, NIC and switch of a block, what leaves each sled, and what the loop mixes of it."""
    sled_rows, chip_heats = rows
    rates, heats, mixing = sled_rows[0], sled_rows[1], sled_rows[2]
    if law.chips_per_sled == _USUAL_CHIPS_PER_SLED:
        _gather(chip_heats, heats, len(sleds.share), _USUAL_CHIPS_PER_SLED)
    else:
        _gather(chip_heats, heats, len(sleds.share), law.chips_per_sled)
    arriving = np.float32(loops.arriving_c[loop])
    for sled in range(len(sleds.share)):
        rate, inlet = rates[sled], sleds.inlet_c[sled]
        own = rate * sleds.other_share[sled]
        power = np.float32(sleds.other_power_w[sled])
        warmer = (sleds.other_c[sled] - inlet) * law.other_w_per_k + power
        warmer /= own + law.other_w_per_k
        sleds.other_c[sled] = inlet + warmer
        heat = heats[sled] * law.coolant_w_per_k + warmer * own
        moving = inlet + heat / max(rate, _STILL_W_PER_K)
        outlet = moving if rate >= _STILL_W_PER_K else sleds.outlet_c[sled]
        sleds.outlet_c[sled] = outlet
        mixing[sled] = (outlet - arriving) * sleds.share[sled]
    rise_k = 0.0
    for sled in range(len(sleds.share)):
        rise_k += mixing[sled]
    loops.rise_k[loop] += rise_k


@numba.njit(nogil=True, error_model="numpy", inline="always")
def _gather(chip_heats: Floats, heats: Floats, count: int, per_sled: int) -> None:
    """Each sled gets the sum of its chips'; inlined as `_spread` is."""
    for sled in range(count):
        heat = np.float32(0.0)
        for chip in range(per_sled):
            heat += chip_heats[sled * per_sled + chip]
        heats[sled] = heat


@numba.njit(cache=True, nogil=True, error_model="numpy")
def advance(
    law: tuple[Any, ...],
    chips: tuple[Any, ...],
    sleds: tuple[Any, ...],
    runs: tuple[Any, ...],
    loops: tuple[Any, ...],
) -> None:
    """`step`, kept compiled beside this file. What is kept is found by the types of arguments:
    were they classes of ours, one by another name would make what is kept unreadable.
    """
    step(
        MakeLaw(*law), PlantChips(*chips), PlantSleds(*sleds), PlantRuns(*runs), PlantLoops(*loops)
    )
