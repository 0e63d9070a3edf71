"""The real matrix products: executed, verified and counted."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from emulator.workload.choice import backend_of
from emulator.workload.flips import OnStrike
from emulator.workload.ledger import Corruption, Ledger
from emulator.workload.options import ProductOptions
from emulator.workload.program import LayerProgram
from emulator.workload.rotation import Rotation
from emulator.workload.runner import ProductRunner
from emulator.workload.shapes import LONGEST_ROWS, TOGETHER, ProductShape
from thermal.arrays import BoolArray, FloatArray, IntArray

Flop = NDArray[np.float64]
_Alike = tuple[LayerProgram | None, int, float, float, int]
"""What chips must have in common to execute together: program, position, orders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What each chip may execute now; arrays [chips]."""

    prefill_flop: Flop
    decode_flop: Flop
    decode_rows: NDArray[np.int64]
    """Longest batch that was decoded: the most rows of a decode product."""
    expected_flips: FloatArray | None = None
    """Bit flips to be expected in the chip's products of this step; None: nowhere any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """What came of the orders; arrays [chips]."""

    flop: Flop
    real: BoolArray
    """Counted from products that ran; the others' FLOP are those of their orders."""
    corrupted: tuple[Corruption, ...]
    products: int
    """Products that ran, parts of a row included."""


class WorkloadEngine:
    """Executes the products of every chip in use, and says what was really executed.

    `place` gives a chip its shape; `execute` takes FLOP at the scale of the host. FLOP of chips
    that execute are counted from the shapes that ran; what is too small for a product is left over.
    """

    def __init__(
        self,
        chips: int,
        rng: np.random.Generator,
        *,
        options: ProductOptions | None = None,
        on_strike: OnStrike | None = None,
    ) -> None:
        """`on_strike` is told of every flipped bit, for those who score what is caught.

        ConfigurationError when the backend can not be had.
        """
        self._rng = rng
        self._flip_rng, strike_rng, rotation_rng = rng.spawn(3)
        self._options = options or ProductOptions()
        self._backend = backend_of(self._options.backend, self._options.device)
        self._rotation = Rotation(chips, rotation_rng, limit=self._options.real_chips_limit)
        self._ledger = Ledger(self._backend) if self._options.verify else None
        self._runner = ProductRunner(
            self._backend, self._options.precision, self._ledger, strike_rng, on_strike
        )
        self._programs: dict[ProductShape, LayerProgram] = {}
        self._program_of_chip: list[LayerProgram | None] = [None] * chips
        self._in_use = np.zeros(chips, dtype=np.bool_)
        self._position = [0] * chips
        self.steps = 0
        """How often `execute` has been called."""

    def place(self, chips: Mapping[int, ProductShape]) -> None:
        """Which chips are in use from now on, and with which products."""
        shapes = sorted(set(chips.values()), key=lambda shape: (shape.hidden, shape.widths))
        with self._backend.threads(self._options.threads):
            self._programs = {
                shape: self._programs.get(shape) or self._build(shape) for shape in shapes
            }
        if self._ledger is not None:
            self._ledger.watch(self._programs.values())
        self._program_of_chip = [None] * len(self._program_of_chip)
        self._in_use[:] = False
        self._in_use[list(chips)] = True
        for chip, shape in chips.items():
            self._program_of_chip[chip] = self._programs[shape]
            self._position[chip] %= len(self._programs[shape].products)

    def rewind(self) -> None:
        """Every chip starts again at the first product of its layer."""
        self._position = [0] * len(self._position)

    def execute(self, orders: Orders) -> Executed:
        """One step: what is sampled runs, the rest counts as ordered."""
        ordered = orders.prefill_flop + orders.decode_flop
        busy = self._in_use & (ordered > 0.0)
        sample = self._rotation.sample(busy)
        flop = np.where(busy, ordered, 0.0)
        flop[sample] = 0.0
        real = ~busy
        real[sample] = True
        if self._ledger is not None:
            self._ledger.begin(self.steps)
        before = self._runner.products
        with self._backend.threads(self._options.threads):
            flop[sample] = self._run(orders, ordered, sample)
            corrupted = self._ledger.close() if self._ledger is not None else ()
        self.steps += 1
        return Executed(
            flop=flop,
            real=real,
            corrupted=corrupted,
            products=self._runner.products - before,
        )

    def checksum(self) -> float:
        """Sum of all activations: finite, and equal for equal seeds and orders."""
        return math.fsum(
            float(self._backend.host(program.rows.values).sum(dtype=np.float64))
            for program in self._programs.values()
        )

    @property
    def nearest_ratio(self) -> float:
        """Largest disagreement of checksums over its tolerance among products that passed."""
        return self._ledger.nearest_ratio if self._ledger is not None else 0.0

    def _build(self, shape: ProductShape) -> LayerProgram:
        options = self._options
        return LayerProgram(
            shape, self._rng, self._backend, options.precision, verify=options.verify
        )

    def _run(self, orders: Orders, ordered: Flop, sample: IntArray) -> list[float]:
        """FLOP that each chip of the sample executed.

        Neighbours that do the same, as those of a tensor-parallel group do, run as one product
        each: a product costs as much to start and to check, however many rows it has.
        """
        prefill = orders.prefill_flop[sample].tolist()
        decode = orders.decode_flop[sample].tolist()
        batch = np.clip(orders.decode_rows[sample], 1, LONGEST_ROWS).tolist()
        position, executed = self._position, []
        flips = self._flips(orders, ordered, sample)
        for alike, rows in groupby(
            zip(sample.tolist(), prefill, decode, batch, strict=True), key=self._does
        ):
            chips = tuple(row[0] for row in rows)
            for first in range(0, len(chips), TOGETHER):
                together = chips[first : first + TOGETHER]
                done, at = self._plan(alike, together, flips)
                for chip in together:
                    position[chip] = at
                executed += [done] * len(together)
        self._runner.run()
        return executed

    def _does(self, row: tuple[int, float, float, int]) -> _Alike:
        chip, prefill, decode, batch = row
        return self._program_of_chip[chip], self._position[chip], prefill, decode, batch

    def _plan(
        self, alike: _Alike, chips: tuple[int, ...], flips: Mapping[int, Sequence[float]]
    ) -> tuple[float, int]:
        """FLOP of each chip, and its next position."""
        program, position, prefill, decode, batch = alike
        if program is None:  # a sample is of chips in use
            return 0.0, position
        runner = self._runner
        runner.begin(
            chips,
            [(at, number) for number, chip in enumerate(chips) for at in flips.get(chip, ())],
        )
        first, position = runner.plan(program, position, prefill, LONGEST_ROWS)
        second, position = runner.plan(program, position, decode, batch)
        return first + second, position

    def _flips(self, orders: Orders, ordered: Flop, sample: IntArray) -> dict[int, list[float]]:
        """At which FLOP of its orders a bit flips, by chip; anywhere is as likely."""
        if orders.expected_flips is None:
            return {}
        counts = self._flip_rng.poisson(orders.expected_flips[sample])
        return {
            int(chip): (self._flip_rng.random(int(count)) * ordered[chip]).tolist()
            for chip, count in zip(sample[counts > 0], counts[counts > 0], strict=True)
        }
