import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.thermal.plant.builders import COARSE, Load, OneLoop, make_actuators, make_plant, run
from thermal.plant.layout import PlantLayout
from thermal.plant.state import Actuators, Commands


def heat_in_w(plant: OneLoop, load: Load) -> float:
    return float(
        load.chip_w * len(plant.junction_c)
        + load.other_w * len(plant.sled_inlet_c)
        + plant.pump_heat_w
    )


@pytest.mark.parametrize(("utilization", "valve"), [(1.0, 0.78), (0.2, 0.45), (0.6, 0.6)])
def test_settled_heat_in_equals_heat_out_within_a_tenth_of_a_percent(
    utilization: float, valve: float
) -> None:
    load = Load(utilization_ratio=utilization)
    plant = run(
        make_plant(COARSE), 2000.0, load=load, actuators=make_actuators(valve_ratio=valve), dt_s=1.0
    )
    assert plant.heat_removed_w == pytest.approx(heat_in_w(plant, load), rel=1e-3)


def test_design_point_is_the_published_one() -> None:
    """1 kW, about 40 C supply, 1.5 l/min: return 50 C and junction 74 C (tuned reference loop)."""
    plant = run(make_plant(COARSE), 900.0, dt_s=1.0)
    assert plant.secondary_flow_lpm == pytest.approx(540.0, rel=0.03)
    assert plant.return_c - plant.supply_c == pytest.approx(9.7, abs=0.5)
    assert plant.junction_c.mean() - plant.supply_c == pytest.approx(33.7, abs=0.7)
    assert np.ptp(plant.chip_flow_lpm) < 0.25 * plant.chip_flow_lpm.mean()
    assert plant.chip_flow_lpm.sum() < plant.sled_flow_lpm.sum()
    assert plant.pump_power_w.sum() < 0.01 * 340e3


def test_a_halved_step_changes_a_transient_by_little() -> None:
    """Backward Euler converges: the junction's rise after a load step, at two step sizes."""
    coarse, fine = make_plant(), make_plant()
    for plant, dt_s in ((coarse, 0.25), (fine, 0.0625)):
        run(plant, 60.0, load=Load(utilization_ratio=0.2), dt_s=dt_s)
        run(plant, 4.0, dt_s=dt_s)
    assert coarse.junction_c == pytest.approx(fine.junction_c, abs=0.6)


@settings(max_examples=25)
@given(
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
    st.booleans(),
    st.floats(0.0, 1.0),
    st.sampled_from([0.05, 0.25, 1.0, 10.0]),
)
def test_every_flow_down_to_zero_is_stable(
    valve: float, speed: float, enabled: bool, blocked: float, dt_s: float
) -> None:
    plant = make_plant(chips=16)
    plant.strike(
        chip_blockage_ratio=dict.fromkeys(range(4), blocked), sled_blockage_ratio={1: blocked}
    )
    run(plant, 20.0, dt_s=0.25)
    run(
        plant,
        20 * dt_s,
        load=Load(utilization_ratio=0.0, other_w=100.0),
        actuators=make_actuators(valve, speed, enabled=enabled),
        dt_s=dt_s,
    )
    for values in (plant.junction_c, plant.plate_c, plant.coolant_c, plant.sled_outlet_c):
        assert np.isfinite(values).all()
        assert (values > 25.0).all()
        # 200 s of idle heat into still plates is the hottest that can come about.
        assert (values < 36.0 + 70.0 + 180.0 * 200.0 / 370.0).all()


def test_more_pump_and_more_valve_cool_more() -> None:
    base = run(make_plant(COARSE), 900.0, dt_s=1.0)
    faster = run(make_plant(COARSE), 900.0, actuators=make_actuators(pump_ratio=1.0), dt_s=1.0)
    wider = run(make_plant(COARSE), 900.0, actuators=make_actuators(valve_ratio=0.95), dt_s=1.0)
    assert (faster.chip_flow_lpm > base.chip_flow_lpm).all()
    assert (faster.junction_c - faster.supply_c < base.junction_c - base.supply_c).all()
    assert wider.supply_c < base.supply_c
    assert (wider.junction_c < base.junction_c).all()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    one, same, other = (run(make_plant(seed=seed), 30.0) for seed in (7, 7, 8))
    assert one.junction_c.tobytes() == same.junction_c.tobytes()
    assert one.junction_c.tobytes() != other.junction_c.tobytes()


def test_long_steps_are_cut_into_parts() -> None:
    one = run(make_plant(), 20.0, dt_s=1.0)
    other = run(make_plant(), 20.0, dt_s=0.25)
    assert one.junction_c == pytest.approx(other.junction_c, abs=1e-9)


def test_wrong_sizes_and_commands_are_refused_with_one_clear_line() -> None:
    plant = make_plant(chips=8)
    short = Actuators(valve_ratio=0.5, pump_ratio=(1.0,), pump_enabled=(True,))
    with pytest.raises(ValueError, match="8 chips and 2 sleds"):
        plant.step(
            0.25,
            chip_power_w=np.zeros(7),
            sled_other_liquid_w=np.zeros(2),
            actuators=make_actuators(),
        )
    with pytest.raises(ValueError, match="1 loops of 2 pumps"):
        plant.step(
            0.25,
            chip_power_w=np.zeros(8),
            sled_other_liquid_w=np.zeros(2),
            actuators=short,
        )
    with pytest.raises(ValueError, match="finite"):
        make_actuators(valve_ratio=float("nan"))
    with pytest.raises(ValueError, match="same number of pumps"):
        Commands.of([make_actuators(), short])
    with pytest.raises(ValueError, match="without gaps"):
        PlantLayout(sled_of_chip=np.array([0, 2]), loop_of_sled=np.array([0, 0]))
    with pytest.raises(ValueError, match="every sled needs at least one chip"):
        PlantLayout(sled_of_chip=np.array([0, 0]), loop_of_sled=np.array([0, 0]))
