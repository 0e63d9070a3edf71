"""Plug flow through header pipes: what enters comes out unmixed, a volume later."""

import numpy as np
import numpy.typing as npt

from thermal.arrays import FloatArray

# Parcels smaller than this part of a pipe join the one before them, so a trickle costs no memory.
_PARCELS = 100
_SLOTS = _PARCELS + 4


class PlugFlow:
    """One pipe a loop; each holds exactly its volume at every time.

    What went in is kept as the running sums of volume and of volume times temperature at the end
    of each parcel. What comes out is the difference of that curve between two times, one pipe
    volume back, so heat is conserved whatever the flows were.
    """

    def __init__(self, volume_l: FloatArray, start_c: FloatArray) -> None:
        """`volume_l` and `start_c` [loops]."""
        self._volume_l = np.asarray(volume_l, dtype=np.float64)
        self._row = np.arange(len(self._volume_l))
        shape = (len(self._row), _SLOTS)
        self._end_l, self._end_heat = np.zeros(shape), np.zeros(shape)
        self._end_l[:, 1] = self._volume_l
        self._end_heat[:, 1] = self._volume_l * start_c
        self._newest = np.ones(len(self._row), dtype=np.intp)
        self._oldest = self._newest.copy()
        self._in_l = self._end_l[:, 1].copy()
        self._in_heat = self._end_heat[:, 1].copy()
        self._out_heat = np.zeros(len(self._row))
        self.outlet_c: npt.NDArray[np.float64] = np.full(len(self._row), start_c, dtype=np.float64)
        """[loops] mean temperature of what came out last."""

    def push(self, volume_l: FloatArray, inlet_c: FloatArray) -> npt.NDArray[np.float64]:
        """Push `volume_l` [loops] in; return the mean temperature of what came out at the far end.

        Without flow an outlet keeps its last temperature.
        """
        self._append(volume_l, inlet_c)
        out_heat = self._heat_passed(self._in_l - self._volume_l)
        moved = volume_l > 0.0
        outlet_c = (out_heat - self._out_heat) / np.where(moved, volume_l, 1.0)
        self.outlet_c = np.where(moved, outlet_c, self.outlet_c)
        self._out_heat = out_heat
        return self.outlet_c

    def mean_c(self) -> npt.NDArray[np.float64]:
        """[loops] volume-weighted mean temperature of the content."""
        mean: npt.NDArray[np.float64] = (self._in_heat - self._out_heat) / self._volume_l
        return mean

    def _append(self, volume_l: FloatArray, inlet_c: FloatArray) -> None:
        self._in_l += volume_l
        self._in_heat += volume_l * inlet_c
        begun_l = self._end_l[self._row, self._newest - 1]
        full = self._end_l[self._row, self._newest] - begun_l >= self._volume_l / _PARCELS
        self._newest = (self._newest + full) % _SLOTS
        self._end_l[self._row, self._newest] = self._in_l
        self._end_heat[self._row, self._newest] = self._in_heat

    def _heat_passed(self, passed_l: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """What had gone in with the first `passed_l`, straight within a parcel."""
        while (behind := self._end_l[self._row, self._oldest] < passed_l).any():
            self._oldest = (self._oldest + behind) % _SLOTS
        end_l, begin_l = (self._end_l[self._row, self._oldest - back] for back in (0, 1))
        end, begin = (self._end_heat[self._row, self._oldest - back] for back in (0, 1))
        share = (passed_l - begin_l) / np.maximum(end_l - begin_l, 1e-12)
        heat: npt.NDArray[np.float64] = begin + share * (end - begin)
        return heat
