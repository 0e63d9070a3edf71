from dataclasses import replace

import numpy as np
import pytest

from isotherm.bench.emulator import published
from isotherm.bench.emulator.published import CDUS, e4
from thermal import heat_exchanger
from thermal.cold_plate import ColdPlateSettings
from thermal.control.feedforward import FeedforwardSettings


def test_every_bar_is_held() -> None:
    case = e4(True, 5)
    assert set(case.target) == {"cold_plate_error", "effectiveness_error", "flow_law_error"}
    assert case.passed


def test_a_worse_plate_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    worse = ColdPlateSettings(resistance_k_per_w=0.0175)
    monkeypatch.setattr(published, "ColdPlateSettings", lambda: worse)
    assert published.cold_plate_error() > 0.03


@pytest.mark.parametrize("name", CDUS)
def test_another_flow_arrangement_is_found_out(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Parallel flow with the same UA: the mistake that the check is there for."""

    def parallel(ntu: float, ratio: float) -> float:
        return float((1.0 - np.exp(-ntu * (1.0 + ratio))) / (1.0 + ratio))

    monkeypatch.setattr(heat_exchanger, "effectiveness", parallel)
    assert published.effectiveness_error(CDUS[name]) > 0.1


def test_a_different_cap_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = FeedforwardSettings(return_cap_c=57.5)
    monkeypatch.setattr(published, "FeedforwardSettings", lambda: settings)
    assert published.flow_law_error() > 0.02


def test_a_quarter_of_the_approach_takes_thrice_the_exchanger() -> None:
    better = replace(CDUS["xdu1350"], approach_k=1.0)
    assert published._ua_by_mean_difference(better) > 3.0 * published._ua_by_mean_difference(
        CDUS["xdu1350"]
    )
