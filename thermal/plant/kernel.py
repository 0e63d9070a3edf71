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
_SCRATCH_ROWS: Final = 4
_SLED_ROWS: Final = 3
_ONE: Final = np.float32(1.0)
_HALF: Final = np.float32(0.5)
_TWO: Final = np.float32(2.0)
_LPM_PER_L_PER_S: Final = np.float32(60.0)
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

    loop: IntArray
    flow_lpm: Floats
    inlet_c: Floats
    other_c: Floats
    outlet_c: Floats
    share: Floats
    """Of its loop's flow."""
    other_share: Floats
    """Of its own flow, past CPU, NIC and switch."""
    other_power_w: FloatArray


class PlantLoops(NamedTuple):
    """[loops] what reaches the manifolds during a step, and what leaves them."""

    flow_lpm: FloatArray
    arriving_c: FloatArray
    w_per_k_per_lpm: FloatArray
    rise_k: FloatArray
    """How much warmer the mixed return is than what arrives; added to."""


@numba.njit(nogil=True, error_model="numpy")
def step(law: MakeLaw, chips: PlantChips, sleds: PlantSleds, loops: PlantLoops) -> None:
    """One step of adjacent sleds of one make."""
    per_sled = law.chips_per_sled
    block = max(1, _BLOCK_CHIPS // per_sled)
    chip_rows = np.empty((_SCRATCH_ROWS, block * per_sled), np.float32)
    sled_rows = np.empty((_SLED_ROWS, block), np.float32)
    for first in range(0, len(sleds.loop), block):
        end = min(first + block, len(sleds.loop))
        low, high = first * per_sled, end * per_sled
        part = PlantChips(
            chips.junction_c[low:high],
            chips.plate_c[low:high],
            chips.coolant_c[low:high],
            chips.hbm_c[low:high],
            chips.share[low:high],
            chips.coupling[low:high],
            chips.plate_k_per_w[low:high],
            chips.power_w[low:high],
        )
        _supply(law, sleds, loops, (first, end), sled_rows)
        _exchange(law, part, sleds.inlet_c[first:end], sled_rows[0], chip_rows)
        _advance_chips(law, part, chip_rows)
        _outlets(law, sleds, loops, (first, end), (sled_rows, chip_rows[3]))


@numba.njit(nogil=True, error_model="numpy")
def _supply(
    law: MakeLaw, sleds: PlantSleds, loops: PlantLoops, block: tuple[int, int], rows: Floats
) -> None:
    """Flow and inlet of each sled of a block; leaves its rate in W/K and what arrives in `rows`."""
    first, end = block
    for local in range(end - first):
        sled = first + local
        loop = sleds.loop[sled]
        arriving = np.float32(loops.arriving_c[loop])
        flow = np.float32(loops.flow_lpm[loop]) * sleds.share[sled]
        # The hose as one well mixed volume, implicit like the chips.
        renewed = flow * (law.step_s / (_LPM_PER_L_PER_S * law.hose_l))
        sleds.flow_lpm[sled] = flow
        sleds.inlet_c[sled] = (sleds.inlet_c[sled] + renewed * arriving) / (_ONE + renewed)
        rows[0, local] = np.float32(loops.w_per_k_per_lpm[loop]) * flow
        rows[1, local] = arriving


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
    for sled in range(len(inlet_c)):
        rate, inlet = rate_w_per_k[sled], inlet_c[sled]
        for chip in range(sled * per_sled, (sled + 1) * per_sled):
            rates[chip] = rate
            inlets[chip] = inlet
    least = law.usual_w_per_k
    for chip in range(len(chips.share)):
        own = rates[chip] * chips.share[chip]
        least = min(least, own)
        rates[chip] = own * (_TWO / law.coolant_w_per_k)
        couplings[chip] = chips.coupling[chip]
    if least < law.usual_w_per_k:
        _slow_exchange(law, chips, rates, couplings)


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
    law: MakeLaw,
    sleds: PlantSleds,
    loops: PlantLoops,
    block: tuple[int, int],
    rows: tuple[Floats, Floats],
) -> None:
    """CPU, NIC and switch of a block, what leaves each sled, and what the loop mixes of it."""
    sled_rows, chip_heats = rows
    first, end = block
    rates, arriving, heats = sled_rows[0], sled_rows[1], sled_rows[2]
    per_sled, count = law.chips_per_sled, end - first
    heats[:count] = 0.0
    for chip in range(per_sled):
        for sled in range(count):
            heats[sled] += chip_heats[sled * per_sled + chip]
    inlets, others = sleds.inlet_c[first:end], sleds.other_c[first:end]
    outlets, other_shares = sleds.outlet_c[first:end], sleds.other_share[first:end]
    powers_w, shares = sleds.other_power_w[first:end], sleds.share[first:end]
    for sled in range(count):
        rate, inlet = rates[sled], inlets[sled]
        own = rate * other_shares[sled]
        power = np.float32(powers_w[sled])
        warmer = (others[sled] - inlet) * law.other_w_per_k + power
        warmer /= own + law.other_w_per_k
        others[sled] = inlet + warmer
        heat = heats[sled] * law.coolant_w_per_k + warmer * own
        moving = inlet + heat / max(rate, _STILL_W_PER_K)
        outlet = moving if rate >= _STILL_W_PER_K else outlets[sled]
        outlets[sled] = outlet
        heats[sled] = (outlet - arriving[sled]) * shares[sled]
    for sled in range(count):
        loops.rise_k[sleds.loop[first + sled]] += heats[sled]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def advance(
    law: tuple[Any, ...], chips: tuple[Any, ...], sleds: tuple[Any, ...], loops: tuple[Any, ...]
) -> None:
    """`step`, kept compiled beside this file. What is kept is found by the types of arguments:
    were they classes of ours, one by another name would make what is kept unreadable.
    """
    step(MakeLaw(*law), PlantChips(*chips), PlantSleds(*sleds), PlantLoops(*loops))
