"""What a hall does about memory errors: reloads drivers, and replaces chips that are lost."""

import numpy as np

from emulator.hbm.model import HbmEvents, HbmModel
from emulator.hbm.status import NrtStatus
from thermal.arrays import BoolArray, FloatArray


class MemoryUpkeep:
    """Steps the memories. A repairable error costs a reload of the chip's driver `reload_s` later;
    a chip that is lost stays so, at the longest until its sled is switched on again.
    """

    def __init__(self, model: HbmModel, *, reload_s: float, replace_at_power_up: bool) -> None:
        self.model = model
        self._reload_s = reload_s
        self._replace_at_power_up = replace_at_power_up
        self._powered: BoolArray = np.ones(model.chips, dtype=np.bool_)
        self._reload_at_s = np.full(model.chips, np.inf)
        self._now_s = 0.0

    def step(
        self,
        dt_s: float,
        *,
        powered: BoolArray,
        hbm_c: FloatArray,
        hbm_ratio: FloatArray,
        storm_per_s: FloatArray,
        decay_ratio: FloatArray,
    ) -> BoolArray:
        """Which chips [chips] lost what they executed. Arguments are those of `HbmModel.step`."""
        self._switch_on(np.flatnonzero(powered & ~self._powered))
        self._powered = powered.copy()
        self._reload(np.flatnonzero((self._reload_at_s <= self._now_s) & powered))
        events = self.model.step(
            dt_s,
            powered=powered,
            hbm_c=hbm_c,
            hbm_ratio=hbm_ratio,
            storm_per_s=storm_per_s,
            decay_ratio=decay_ratio,
        )
        self._now_s += dt_s
        return self._noted(events)

    def _switch_on(self, chips: np.ndarray[tuple[int], np.dtype[np.intp]]) -> None:
        if not len(chips):
            return
        if self._replace_at_power_up:
            self.model.replace(chips[self.model.dead[chips]])
        self.model.power_up(chips)
        self._reload_at_s[chips] = np.inf

    def _reload(self, chips: np.ndarray[tuple[int], np.dtype[np.intp]]) -> None:
        if len(chips):
            self.model.reload(chips)
            self._reload_at_s[chips] = np.inf

    def _noted(self, events: HbmEvents) -> BoolArray:
        failed: BoolArray = np.zeros(self.model.chips, dtype=np.bool_)
        failed[events.chips] = True
        repairable = events.chips[events.status == NrtStatus.HBM_REPAIRABLE]
        self._reload_at_s[repairable] = np.minimum(
            self._reload_at_s[repairable], self._now_s + self._reload_s
        )
        return failed
