"""Work that was served but not executed yet, at the scale of the host; arrays [chips]."""

import numpy as np

from emulator.serving.services import Work
from emulator.skus import ChipColumns
from emulator.workload import Flop, Orders
from thermal.arrays import BoolArray, FloatArray

_LONGEST_SPANS = 3.0


class Backlog:
    """Scales FLOP by emulated over real peak, and carries what no whole product took.

    Bytes are counted by formula and follow the FLOP: the share of the FLOP that ran has also
    moved its bytes, so the ratio of peak to bandwidth stays that of the real chip.
    """

    def __init__(self, kinds: ChipColumns, *, peak_flop_per_s: float) -> None:
        self._kinds = kinds
        chips = len(kinds.tdp_w)
        self._peak_flop_per_s = peak_flop_per_s
        self._scale = peak_flop_per_s / kinds.peak_flop_per_s
        self._prefill: Flop = np.zeros(chips)
        self._decode: Flop = np.zeros(chips)
        self._bytes = np.zeros(chips)
        self._rows = np.zeros(chips, dtype=np.int64)

    def add(self, work: Work, *, usable: BoolArray, dt_s: float) -> None:
        """Take a span's work; chips that stopped lose theirs."""
        self._prefill = np.where(usable, self._prefill + work.prefill_flop * self._scale, 0.0)
        self._decode = np.where(usable, self._decode + work.decode_flop * self._scale, 0.0)
        self._bytes = np.where(usable, self._bytes + work.moved_bytes, 0.0)
        self._rows = work.decode_rows
        # A chip that is capped for long must not store up hours of work.
        longest = _LONGEST_SPANS * self._peak_flop_per_s * dt_s
        self._keep(np.minimum(1.0, longest / np.maximum(self._pending, 1.0)))

    def asked(self, work: Work, dt_s: float) -> tuple[FloatArray, FloatArray]:
        """Tensor and HBM utilization of new work alone."""
        tensor = (work.prefill_flop + work.decode_flop) / (self._kinds.peak_flop_per_s * dt_s)
        return tensor, work.moved_bytes / (self._kinds.hbm_bytes_per_s * dt_s)

    def wanted(self, dt_s: float) -> tuple[FloatArray, FloatArray]:
        """Tensor and HBM utilization, if all that waits ran in `dt_s`; above 1 when it can not."""
        tensor = self._pending / (self._peak_flop_per_s * dt_s)
        hbm = self._bytes / (self._kinds.hbm_bytes_per_s * dt_s)
        return tensor, hbm

    def orders(self, allowed_ratio: FloatArray, dt_s: float) -> Orders:
        """What may run now: the allowed share, and never more than the peak."""
        peak = self._peak_flop_per_s * dt_s
        share = np.minimum(allowed_ratio, peak / np.maximum(self._pending, 1.0))
        return Orders(
            prefill_flop=self._prefill * share,
            decode_flop=self._decode * share,
            decode_rows=self._rows,
        )

    def settle(self, executed_flop: Flop, dt_s: float) -> tuple[FloatArray, FloatArray]:
        """Take off what ran; tensor and HBM utilization of the span."""
        share = np.minimum(executed_flop / np.maximum(self._pending, 1.0), 1.0)
        tensor = executed_flop / (self._peak_flop_per_s * dt_s)
        hbm = self._bytes * share / (self._kinds.hbm_bytes_per_s * dt_s)
        self._keep(1.0 - share)
        return tensor, np.minimum(hbm, 1.0)

    @property
    def _pending(self) -> Flop:
        return self._prefill + self._decode

    def _keep(self, share: FloatArray) -> None:
        self._prefill = self._prefill * share
        self._decode = self._decode * share
        self._bytes = self._bytes * share
