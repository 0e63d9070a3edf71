"""What might have been learnt of a loop, for tests."""

from dataclasses import replace

import numpy as np

from controller.cooling.settings import CoolingSettings
from thermal.model.identity import LoopIdentity
from thermal.model.loop_fit import Learnt, LoopFit, TransitFit


def make_identity(
    chips: int, *, ua_drift_ratio: float = 0.0, worn: dict[int, float] | None = None
) -> LoopIdentity:
    """Hours of lessons: UA and the resistance of chips `worn` have drifted since."""
    settings = CoolingSettings.sized(chips)
    unknown = LoopIdentity.unknown(settings.identity, settings.model, chips)
    drift = np.zeros(chips)
    for chip, gained in (worn or {}).items():
        drift[chip] = gained
    told = Learnt(
        built_log_ratio=-0.1,
        bias_k=0.2,
        covariance=(4e-3, 1e-3, 2e-2),
        scatter_squares=1e-4,
        lessons_count=100.0,
    )
    return LoopIdentity(
        plates=replace(
            unknown.plates,
            power_w=np.full(chips, 900.0),
            built_k_per_w=np.linspace(0.026, 0.03, chips),
            offset_k=np.linspace(-1.0, 1.0, chips),
            covariance=(np.full(chips, 6e-7), np.full(chips, -4e-4), np.full(chips, 0.3)),
            drift_ratio=drift,
            lessons_count=np.full(chips, 40.0),
        ),
        loop=LoopFit(
            ua=replace(told, drift_log_ratio=float(np.log1p(ua_drift_ratio))),
            resistance=told,
            transit=TransitFit(
                unexplained=tuple(np.linspace(1.0, 2.0, 22).tolist()),
                swing_squares=0.5,
                weight=0.9,
            ),
        ),
        leakage=replace(
            unknown.leakage,
            weights=(0.1, 0.7, 0.12),
            covariance_squares=np.diag((1e-4, 1e-4, 2e-4)),
        ),
    )
