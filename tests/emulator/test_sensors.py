import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.sensing import SensorFault, SensorFaultKind, Sensors
from emulator.sensors import SENSOR_DATA, FleetSensors, SensorData, meter_sizes
from emulator.skus import FleetSkus
from fleet.metrics import BY_NAME
from fleet.topology import CoolingLoop, Datacenter, FleetMap, Generation, LoopKind, UltraServer
from thermal.arrays import FloatArray

QUIET = SensorData()


def sensors(data: SensorData, *, seed: int = 1) -> Sensors:
    return FleetSensors(np.random.default_rng(seed), {"inlet_c": data, "coolant_flow_lpm": data})


def read(of: Sensors, value: float | FloatArray, *, rows: int = 1, dt_s: float = 1.0) -> FloatArray:
    truth = np.full(rows, value) if isinstance(value, float) else value
    return of.read("inlet_c", truth, dt_s)


def test_a_metric_without_data_passes_unchanged() -> None:
    truth = np.array([1.25, -3.5, np.nan])
    shown = FleetSensors(np.random.default_rng(0), {}).read("inlet_c", truth, 1.0)
    np.testing.assert_array_equal(shown, truth)


def test_lag_closes_63_percent_in_its_time_constant_whatever_the_step() -> None:
    for dt_s in (0.25, 1.0, 3.0):
        lagging = sensors(SensorData(lag_s=3.0))
        read(lagging, 20.0)
        for _ in range(round(3.0 / dt_s)):
            shown = read(lagging, 30.0, dt_s=dt_s)
        assert shown[0] == pytest.approx(20.0 + 10.0 * (1 - np.exp(-1)))


def test_noise_has_its_sigma_and_no_mean() -> None:
    shown = read(sensors(SensorData(noise=0.5)), 40.0, rows=20_000)
    assert shown.mean() == pytest.approx(40.0, abs=0.02)
    assert shown.std() == pytest.approx(0.5, rel=0.05)
    relative = read(sensors(SensorData(noise_ratio=0.01)), 200.0, rows=20_000)
    assert relative.std() == pytest.approx(2.0, rel=0.05)


def test_bias_is_drawn_once_for_each_sensor_and_cut() -> None:
    biased = sensors(SensorData(bias=0.15))
    first, second = read(biased, 40.0, rows=5_000), read(biased, 40.0, rows=5_000)
    np.testing.assert_array_equal(first, second)
    assert first.std() == pytest.approx(0.15, rel=0.05)
    assert np.abs(first - 40.0).max() <= 2.5 * 0.15 + 1e-9


def test_drift_grows_with_time() -> None:
    drifting = sensors(SensorData(drift_per_day=1.0))
    after_day = read(drifting, 40.0, rows=2_000, dt_s=86_400.0) - 40.0
    after_two = read(drifting, 40.0, rows=2_000, dt_s=86_400.0) - 40.0
    assert after_day.std() == pytest.approx(1.0, rel=0.1)
    np.testing.assert_allclose(after_two, 2 * after_day)


@given(truth=st.floats(0, 200), resolution=st.sampled_from([0.1, 0.5, 1.0]))
def test_resolution_rounds_to_the_nearest_step(truth: float, resolution: float) -> None:
    shown = read(sensors(SensorData(resolution=resolution)), truth)[0]
    assert abs(shown - truth) <= resolution / 2 + 1e-9
    assert shown / resolution == pytest.approx(round(shown / resolution))


def test_a_flow_meter_is_blind_below_its_range() -> None:
    shown = read(sensors(SensorData(blind_below=0.6)), np.array([0.5, 0.59, 0.61, 7.5]))
    np.testing.assert_allclose(shown, [0.0, 0.0, 0.61, 7.5])


def test_what_can_not_be_negative_is_not_shown_so() -> None:
    noisy = sensors(SensorData(noise=5.0))
    assert noisy.read("coolant_flow_lpm", np.zeros(500), 1.0).min() == 0.0
    assert noisy.read("inlet_c", np.zeros(500), 1.0).min() < 0.0


def test_a_truth_without_a_value_shows_nothing_and_does_not_poison_the_lag() -> None:
    lagging = sensors(SensorData(lag_s=3.0))
    read(lagging, 20.0)
    assert np.isnan(read(lagging, np.nan)[0])
    assert read(lagging, 50.0)[0] == 50.0


def test_a_bias_fault_shifts_its_own_sensor() -> None:
    broken = sensors(QUIET)
    broken.set_fault("inlet_c", 1, SensorFault(kind=SensorFaultKind.BIAS, offset=4.0))
    np.testing.assert_allclose(read(broken, 40.0, rows=3), [40.0, 44.0, 40.0])


def test_a_dropout_shows_nothing_until_it_is_mended() -> None:
    broken = sensors(QUIET)
    broken.set_fault("inlet_c", 0, SensorFault(kind=SensorFaultKind.DROPOUT))
    np.testing.assert_array_equal(read(broken, 40.0, rows=2), [np.nan, 40.0])
    broken.set_fault("inlet_c", 0, None)
    np.testing.assert_allclose(read(broken, 41.0, rows=2), [41.0, 41.0])


def test_a_frozen_sensor_shows_its_last_value() -> None:
    broken = sensors(SensorData(noise=0.1))
    last = read(broken, 40.0)[0]
    broken.set_fault("inlet_c", 0, SensorFault(kind=SensorFaultKind.FREEZE))
    assert {read(broken, 60.0)[0] for _ in range(5)} == {last}
    broken.set_fault("inlet_c", 0, None)
    assert read(broken, 60.0)[0] > 59.0
    broken.set_fault("inlet_c", 0, SensorFault(kind=SensorFaultKind.FREEZE))
    assert read(broken, 20.0)[0] > 59.0


def test_a_sensor_frozen_before_it_was_ever_read_shows_its_first_value() -> None:
    broken = sensors(QUIET)
    broken.set_fault("inlet_c", 0, SensorFault(kind=SensorFaultKind.FREEZE))
    assert [read(broken, value)[0] for value in (40.0, 50.0)] == [40.0, 40.0]


def test_the_same_seed_shows_the_same() -> None:
    truth = np.linspace(20, 60, 50)
    shown = [FleetSensors(np.random.default_rng(5)).read("supply_c", truth, 1.0) for _ in range(2)]
    np.testing.assert_array_equal(shown[0], shown[1])


def test_what_is_shown_is_not_the_sensors_own_memory() -> None:
    broken = sensors(QUIET)
    read(broken, 40.0)[0] = -1.0
    broken.set_fault("inlet_c", 0, SensorFault(kind=SensorFaultKind.FREEZE))
    assert read(broken, 50.0)[0] == 40.0


def test_data_names_metrics_of_the_one_table() -> None:
    assert [name for name in SENSOR_DATA if name not in BY_NAME] == []


def test_a_flow_meter_is_of_the_size_of_what_flows() -> None:
    """A wafer's sled takes what five sleds of four chips take, and so is blind below five times."""
    loop = CoolingLoop(
        id="h1/loop01",
        cdu_id="h1/cdu01",
        kind=LoopKind.LIQUID_TO_LIQUID,
        ultraservers=(
            UltraServer(id="h1/us01", generation=Generation.TRN3_GEN2),
            UltraServer(id="h1/us02", generation=Generation.CS3),
        ),
    )
    skus = FleetSkus(FleetMap(Datacenter(hall="h1", loops=(loop,))))
    sizes = meter_sizes(skus)
    assert sizes["coolant_flow_lpm"].tolist() == [1.0] * 36 + [21 / 4]
    assert sizes["secondary_flow_lpm"] == pytest.approx([(144 + 21) / 288])
    meters = FleetSensors(
        np.random.default_rng(1), {"coolant_flow_lpm": SensorData(blind_below=0.6)}, sizes=sizes
    )
    shown = meters.read("coolant_flow_lpm", np.full(37, 2.0), 1.0)
    assert (shown[0], shown[36]) == (2.0, 0.0)
