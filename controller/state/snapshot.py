from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleet.frame import CountBlock, FloatBlock
from fleet.topology import FleetMap

Seconds = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FleetSnapshot:
    """The fleet as last heard at one time; every array is read-only.

    Gauges and states are float32 by metric name, NaN where absent: `chip` [chips], `sled` [sleds],
    `cdu` [loops], `pump` [loops, pumps]. Counts are uint64, MISSING_COUNT where absent. Rows of a
    silent agent keep its last word: `sled_age_s` and `cdu_age_s` say how old that is, infinite for
    an agent never heard.
    """

    fleet_map: FleetMap
    at_unix_ns: int
    cycle: int
    chip: Mapping[str, FloatBlock]
    sled: Mapping[str, FloatBlock]
    cdu: Mapping[str, FloatBlock]
    pump: Mapping[str, FloatBlock]
    chip_counts: Mapping[str, CountBlock]
    sled_counts: Mapping[str, CountBlock]
    sled_age_s: Seconds
    cdu_age_s: Seconds
    sled_frame: CountBlock
    """[2, sleds]: epoch and seq of the newest frame of each sled; zero when never heard."""
    cdu_frame: CountBlock
    """[2, loops]: the same for each CDU."""

    @property
    def cause_of_loop(self) -> tuple[str, ...]:
        """For each loop the id of its CDU's newest frame."""
        return tuple(self.cdu_cause(row) for row in range(len(self.fleet_map.cdu_ids)))

    def sled_cause(self, sled: int) -> str:
        """Id of the newest frame of a sled, as `Frame.id` spells it."""
        return _cause(self.fleet_map.sled_ids[sled], self.sled_frame[:, sled])

    def cdu_cause(self, loop: int) -> str:
        return _cause(self.fleet_map.cdu_ids[loop], self.cdu_frame[:, loop])


def _cause(agent: str, frame: CountBlock) -> str:
    return f"{agent}@{int(frame[0])}.{int(frame[1])}"
