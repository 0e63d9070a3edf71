import numpy as np
import pytest

from thermal.plant.air_row import AirRows, RowCommands
from thermal.plant.air_settings import AirRowSettings

ROWS, SLEDS, CHIPS = 2, 4, 16
CHIP_W, OTHER_W = 500.0, 2_000.0
RATED_W = CHIPS * CHIP_W + OTHER_W


def hall(settings: AirRowSettings | None = None, *, spread: float | None = None) -> AirRows:
    rows = AirRows(
        settings or AirRowSettings(),
        row_of_sled=np.repeat(np.arange(ROWS), SLEDS),
        sled_of_chip=np.repeat(np.arange(ROWS * SLEDS), CHIPS),
        chip_rated_w=np.full(ROWS * SLEDS * CHIPS, CHIP_W),
        sled_rated_w=np.full(ROWS * SLEDS, RATED_W),
        rng=np.random.default_rng(3),
    )
    if spread is None:
        rows._unevenness[:] = 1.0
    return rows


def commands(
    rows: AirRows, *, fan: float = 1.0, water: float = 1.0, facility_c: float = 18.0
) -> RowCommands:
    design_lpm = 650.0 * rows.rated_w / rows.settings.handler_w
    return RowCommands(
        fan_ratio=np.full(ROWS, fan),
        water_lpm=water * design_lpm,
        facility_c=np.full(ROWS, facility_c),
    )


def run(
    rows: AirRows, told: RowCommands, *, load: float = 1.0, minutes: float = 20, dt_s: float = 0.5
) -> AirRows:
    for _ in range(round(minutes * 60 / dt_s)):
        rows.step(
            dt_s,
            chip_power_w=np.full(ROWS * SLEDS * CHIPS, load * CHIP_W),
            sled_other_w=np.full(ROWS * SLEDS, OTHER_W),
            commands=told,
        )
    return rows


def test_heat_in_is_heat_out() -> None:
    rows = hall(spread=1.0)
    run(rows, commands(rows))
    into_air_w = SLEDS * RATED_W + rows.fan_power_w.reshape(ROWS, SLEDS).sum(axis=1)
    assert rows.heat_removed_w == pytest.approx(into_air_w + rows.handler_fan_w, rel=1e-3)


def test_the_design_point_is_a_cool_row() -> None:
    rows = hall()
    run(rows, commands(rows))
    assert rows.supply_air_c == pytest.approx(24.0, abs=1.5)
    assert rows.inlet_air_c.max() < 27.0
    assert 70.0 < rows.junction_c.max() < 85.0
    assert rows.hbm_c == pytest.approx(rows.junction_c + 5.0, abs=0.1)


def test_halved_handler_fans_send_hot_air_back_to_the_inlets() -> None:
    whole, half = hall(), hall()
    run(whole, commands(whole))
    run(half, commands(half, fan=0.3))
    assert whole.recirculated_share == pytest.approx(whole.settings.leak_share)
    assert half.recirculated_share.min() > 0.2
    assert half.inlet_air_c.min() > whole.inlet_air_c.max() + 3.0
    assert half.fan_speed_ratio.min() > whole.fan_speed_ratio.max()


def test_server_fans_follow_the_hottest_chip_and_take_the_cube() -> None:
    idle, busy = hall(), hall()
    run(idle, commands(idle), load=0.2)
    run(busy, commands(busy), load=1.0)
    assert idle.fan_speed_ratio.max() < busy.fan_speed_ratio.min()
    full_w = busy.settings.server.fan_w_per_w * RATED_W
    assert busy.fan_power_w == pytest.approx(full_w * busy.fan_speed_ratio**3)


def test_warmer_water_warms_the_chips_and_more_water_cools_them() -> None:
    junction_c = {}
    for name, facility_c, water in (("cold", 15.0, 1.0), ("warm", 25.0, 1.0), ("thin", 15.0, 0.3)):
        rows = hall()
        run(rows, commands(rows, facility_c=facility_c, water=water))
        junction_c[name] = float(rows.junction_c.mean())
    assert junction_c["cold"] < junction_c["warm"]
    assert junction_c["cold"] < junction_c["thin"]


def test_a_dried_interface_warms_one_chip_alone() -> None:
    rows = hall()
    rows.faults.chip_resistance_ratio[5] = 1.3
    run(rows, commands(rows))
    others = np.delete(rows.junction_c[:CHIPS], 5)
    assert rows.junction_c[5] > others.max() + 5.0
    assert rows.junction_c[CHIPS:].max() < rows.junction_c[5]


def test_a_clogged_sled_is_hotter_than_its_neighbours() -> None:
    rows = hall()
    rows.faults.sled_blockage_ratio[1] = 0.6
    run(rows, commands(rows))
    by_sled = rows.junction_c.reshape(-1, CHIPS).mean(axis=1)
    assert by_sled[1] > np.delete(by_sled, 1).max() + 5.0


@pytest.mark.parametrize("dt_s", [0.05, 0.5, 5.0])
def test_dead_fans_heat_chips_to_a_limit_at_any_step(dt_s: float) -> None:
    rows = hall()
    rows.faults.sled_blockage_ratio[:] = 1.0
    run(rows, commands(rows), load=0.2, minutes=3, dt_s=dt_s)
    assert np.isfinite(rows.junction_c).all()
    assert rows.junction_c.min() > 60.0


def test_a_tripped_handler_coasts_and_its_row_heats_up() -> None:
    rows = hall()
    run(rows, commands(rows))
    before_c = rows.inlet_air_c.copy()
    rows.faults.fan_tripped[0] = True
    run(rows, commands(rows), minutes=2)
    assert rows.handler_fan_ratio.tolist() == [0.0, 1.0]
    assert rows.inlet_air_c[0] > before_c[0] + 5.0
    assert rows.inlet_air_c[SLEDS] == pytest.approx(before_c[SLEDS], abs=0.1)


def test_rows_in_one_batch_are_what_they_are_alone() -> None:
    both, one = hall(), hall()
    told = commands(both)
    told.fan_ratio[:] = (0.5, 1.0)
    run(both, told, minutes=5)
    told.fan_ratio[:] = 0.5
    run(one, told, minutes=5)
    assert both.junction_c[: SLEDS * CHIPS] == pytest.approx(one.junction_c[: SLEDS * CHIPS])


@pytest.mark.parametrize(
    ("row_of_sled", "sled_of_chip"),
    [([0, 2], [0, 1]), ([0, 0], [0, 0]), ([1, 1], [0, 1]), ([0, 0], [1, 0]), ([], [])],
)
def test_maps_with_gaps_are_refused(row_of_sled: list[int], sled_of_chip: list[int]) -> None:
    with pytest.raises(ValueError, match="must"):
        AirRows(
            AirRowSettings(),
            row_of_sled=np.array(row_of_sled, dtype=np.int64),
            sled_of_chip=np.array(sled_of_chip, dtype=np.int64),
            chip_rated_w=np.ones(len(sled_of_chip)),
            sled_rated_w=np.ones(len(row_of_sled)),
            rng=np.random.default_rng(1),
        )


def test_powers_of_another_hall_are_refused() -> None:
    rows = hall()
    with pytest.raises(ValueError, match="expected power of 128 chips and 8 sleds"):
        rows.step(1.0, chip_power_w=np.ones(3), sled_other_w=np.ones(8), commands=commands(rows))
