import math
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import ConfigurationError
from fleet.register_map import MOST_IN_ONE_READ, Register, parse_register_map

ORV3 = parse_register_map(files("fleet").joinpath("registers/orv3.yaml").read_text(), "orv3")


@pytest.mark.parametrize(
    ("name", "address", "scale", "signed"),
    [
        ("coolant_flow_lpm", 36864, 0.1, False),
        ("coolant_outlet_c", 36865, 0.1, True),
        ("coolant_inlet_c", 36866, 0.1, True),
        ("coolant_outlet_kpa", 36867, 0.1, True),
        ("coolant_inlet_kpa", 36868, 0.1, True),
        ("pump_unit_w", 36869, 0.1, False),
        ("whole_unit_w", 36870, 1.0, False),
        ("air_inlet_c", 36872, 0.1, True),
        ("pump_duty_percent", 36873, 1.0, False),
        ("pump1_rpm", 36874, 1.0, False),
        ("pump4_rpm", 36877, 1.0, False),
        ("cooling_capacity_w", 36881, 0.1, False),
        ("pump1_status", 36882, 1.0, False),
        ("pump4_status", 36885, 1.0, False),
        ("reservoir_status", 36886, 1.0, False),
        ("exchanger_fan_percent", 37120, 1.0, False),
        ("exchanger_w", 37121, 0.1, False),
        ("exchanger_fan1_rpm", 37124, 1.0, False),
        ("exchanger_fan10_rpm", 37133, 1.0, False),
        ("exchanger_air_outlet1_c", 37134, 0.1, True),
        ("exchanger_air_inlet2_c", 37137, 0.1, True),
        ("exchanger_water_inlet_c", 37138, 0.1, True),
        ("bladder_status", 37139, 1.0, False),
        ("y_filter_kpa", 37140, 0.1, True),
        ("sensor_faults", 37376, 1.0, False),
        ("status_alarms", 37377, 1.0, False),
        ("leaks", 37378, 1.0, False),
        ("exchanger_alarms", 37379, 1.0, False),
        ("flow_target_lpm", 37888, 0.1, False),
        ("outlet_target_c", 37889, 0.1, True),
        ("pump_rotation_interval", 37890, 1.0, False),
        ("manual_pump_percent", 37891, 1.0, False),
        ("manual_fan_percent", 37892, 1.0, False),
        ("control", 37904, 1.0, False),
        ("leak_sensors", 37905, 1.0, False),
        ("sticky_chassis0_stop", 6561, 1.0, False),
        ("sticky_internal_leak", 6565, 1.0, False),
        ("sticky_rack_floor_relay", 6572, 1.0, False),
    ],
)
def test_the_orv3_map_is_the_published_one(
    name: str, address: int, scale: float, signed: bool
) -> None:
    register = ORV3[name]
    assert (register.address, register.scale, register.signed) == (address, scale, signed)
    assert (ORV3.unit_id, ORV3.probe) == (12, 36864)


@pytest.mark.parametrize(
    ("register", "place", "name"),
    [
        ("status_alarms", 0, "reservoir"),
        ("status_alarms", 6, "pump_abnormal"),
        ("status_alarms", 7, "loop_blocked"),
        ("status_alarms", 8, "emergency_button"),
        ("status_alarms", 10, "y_filter"),
        ("leaks", 0, "chassis0_stop"),
        ("leaks", 4, "internal"),
        ("leaks", 8, "rack_pan"),
        ("leaks", 9, "rack_floor"),
        ("leaks", 13, "rack_floor_error"),
        ("control", 1, "manual_pump"),
        ("control", 2, "manual_fan"),
        ("control", 3, "auto_flow"),
        ("control", 5, "system_stop"),
        ("control", 15, "pump4_reset"),
    ],
)
def test_bits_stand_where_the_published_map_has_them(register: str, place: int, name: str) -> None:
    assert ORV3[register].flags(1 << place) == {name}
    assert ORV3[register].word([name]) == 1 << place


@given(
    value=st.floats(-500, 500),
    scale=st.sampled_from([0.01, 0.1, 1.0, 10.0]),
    signed=st.booleans(),
    length=st.sampled_from([1, 2]),
)
def test_numbers_survive_within_half_a_step(
    value: float, scale: float, signed: bool, length: int
) -> None:
    register = Register(address=1, name="x", scale=scale, signed=signed, length=length)
    words = register.encode(value)
    assert len(words) == length
    assert all(0 <= word <= 0xFFFF for word in words)
    shown = register.decode(words)
    if math.isnan(shown):
        assert abs(value) / scale > 2**15 - 2
    else:
        assert shown == pytest.approx(value if signed else max(value, 0.0), abs=0.51 * scale)


def test_what_does_not_fit_saturates_and_is_not_believed() -> None:
    power = ORV3["cooling_capacity_w"]
    assert power.encode(360_000.0) == [0xFFFF]
    assert math.isnan(power.decode([0xFFFF]))
    outlet = ORV3["coolant_outlet_c"]
    assert outlet.encode(-12.3) == [0x10000 - 123]
    assert outlet.decode([0x10000 - 123]) == pytest.approx(-12.3)
    assert math.isnan(outlet.decode([0x8000]))


@pytest.mark.parametrize("name", ["pump1_rpm", "coolant_outlet_c", "cooling_capacity_w"])
def test_no_reading_is_never_a_reading(name: str) -> None:
    register = ORV3[name]
    assert math.isnan(register.decode(register.encode(math.nan)))


def test_texts_are_two_characters_a_register() -> None:
    serial = ORV3["serial"]
    assert serial.encode_text("h1-cdu01")[:2] == [0x6831, 0x2D63]
    assert serial.decode_text(serial.encode_text("h1-cdu01")) == "h1-cdu01"


@given(st.sets(st.sampled_from([register.name for register in ORV3]), min_size=1))
def test_runs_bring_what_was_asked_and_touch_no_gap(names: set[str]) -> None:
    brought: set[int] = set()
    for address, count in ORV3.runs(names):
        assert 1 <= count <= MOST_IN_ONE_READ
        addresses = set(range(address, address + count))
        assert not brought & addresses
        assert all(ORV3.at(at) is not None for at in addresses)
        brought |= addresses
    assert {ORV3[name].address for name in names} <= brought


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("registers: [", "register map here"),
        ("[]", "a list of registers is missing"),
        ("registers: [{register: 1}]", "no register and name"),
        ("registers: [{register: 70000, name: a}]", "a: register 70000"),
        ("registers: [{register: 1, name: a, scale: 0}]", "a: scale 0"),
        ("registers: [{register: 1, name: a, scale: .nan}]", "a: scale nan"),
        ("registers: [{register: 1, name: a, sgined: true}]", "unknown sgined; known: bits"),
        ("registers: [{register: 1, name: a, signed: 1}]", "signed must be true or false"),
        ("registers: [{register: 1, name: a, bits: {16: b}}]", "a: bit 16"),
        ("registers: [{register: 1, name: a, bits: [b]}]", "bits must be a table"),
        ("registers: [{register: 1, name: a, length: 2}, {register: 2, name: b}]", "overlaps"),
        ("registers: [{register: 1, name: a}, {register: 2, name: a}]", "two registers named a"),
    ],
)
def test_a_bad_map_is_one_clear_line(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_register_map(text, "here")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
