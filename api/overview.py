import numpy as np

from api.desired import Desired
from api.live import LiveViews
from api.schemas.fleet import TotalsOut
from api.schemas.values import number
from controller.placement.job import JobState
from fleet.frame import FloatBlock
from fleet.metrics import BY_NAME
from fleet.topology import FleetMap


def fleet_totals(fleet_map: FleetMap, live: LiveViews, desired: Desired) -> TotalsOut:
    """The fleet in one line, of what is fresh only."""
    fresh = live.sled_age_s() <= BY_NAME["sled_power_w"].staleness_s
    return TotalsOut(
        power_w=_sum(live.sled_column("sled_power_w", fresh=True)),
        heat_removed_w=_sum(live.cdu_column("heat_removed_w", fresh=True)),
        max_junction_c=_max(live.chip_column("junction_c", fresh=True)),
        chips_busy=desired.chips_busy,
        chips_reporting=int(fleet_map.chips_of_sled[fresh].sum()),
        jobs_running=desired.jobs_in(JobState.RUNNING),
        jobs_pending=desired.jobs_in(JobState.PENDING),
        incidents_open=len(desired.incidents),
    )


def _sum(column: FloatBlock) -> float | None:
    known = column[~np.isnan(column)]
    return number(float(known.sum(dtype=np.float64))) if known.size else None


def _max(column: FloatBlock) -> float | None:
    known = column[~np.isnan(column)]
    return number(float(known.max())) if known.size else None
