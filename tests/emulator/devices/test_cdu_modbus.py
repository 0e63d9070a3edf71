import pytest

from emulator.cdu import CduSettings, Firmware
from emulator.devices.cdu_modbus import CduModbus, RefusedError
from emulator.readings import ControlMode, PumpHealth
from fleet.clock import ManualClock
from fleet.errors import ConfigurationError
from fleet.metrics import LeakState
from tests.emulator.devices.builders import HandHall

OK, WARNING, CRITICAL = LeakState.OK, LeakState.WARNING, LeakState.CRITICAL


class Bench:
    def __init__(self) -> None:
        self.hall, self.clock = HandHall(), ManualClock()
        self.hall.change_cdu(leak=(OK, OK, OK), leak_latched=(False,) * 3)
        self.device = CduModbus(self.hall, 0, self.clock)
        self.asked = self.hall.cdu_requests(0)

    def word(self, name: str) -> int:
        [word] = self.device.read_registers(self.device.map[name].address, 1)
        return word

    def flags(self, name: str) -> frozenset[str]:
        return self.device.map[name].flags(self.word(name))

    def write(self, name: str, value: float) -> None:
        register = self.device.map[name]
        self.device.write_registers(register.address, register.encode(value))

    def mode(self) -> ControlMode:
        return self.asked.control_mode

    def order(self, *flags: str) -> None:
        self.write("control", self.device.map["control"].word(flags))


def test_a_healthy_unit_raises_no_alarm() -> None:
    bench = Bench()
    for name in ("status_alarms", "leaks", "sensor_faults", "more_sensor_faults"):
        assert bench.flags(name) == frozenset(), name


@pytest.mark.parametrize(
    ("changes", "alarm"),
    [
        ({"supply_c": 55.0}, "outlet_temperature"),
        ({"return_c": 70.0}, "inlet_temperature"),
        ({"hall_air_c": 45.0}, "air_inlet"),
        ({"primary_supply_c": 45.0}, "exchanger_air_inlet"),
        ({"supply_pressure_kpa": 500.0}, "outlet_pressure"),
        ({"pump_state": (PumpHealth.OK, PumpHealth.CRITICAL)}, "pump_abnormal"),
        ({"secondary_flow_lpm": 1.0}, "loop_blocked"),
        ({"reservoir_level_ratio": 0.1}, "reservoir"),
        ({"pump_speed_ratio": (0.0, 0.0)}, "ready_deasserted"),
    ],
)
def test_each_trouble_has_its_bit(changes: dict[str, object], alarm: str) -> None:
    bench = Bench()
    bench.hall.change_cdu(**changes)
    assert bench.flags("status_alarms") == {alarm}


def test_leak_bits_are_of_the_moment_and_sticky_copies_stay_until_cleared() -> None:
    bench = Bench()
    bench.hall.change_cdu(leak=(CRITICAL, WARNING, OK), leak_latched=(True, False, False))
    assert bench.flags("leaks") == {"rack_pan", "rack_pan_relay", "rack_floor"}
    bench.hall.change_cdu(leak=(OK, OK, OK))
    assert bench.flags("leaks") == frozenset()
    assert (bench.word("sticky_rack_pan_leak"), bench.word("sticky_rack_floor_leak")) == (1, 0)
    with pytest.raises(RefusedError, match="sticky_rack_pan_leak 7 is outside"):
        bench.write("sticky_rack_pan_leak", 7)
    bench.write("sticky_rack_pan_leak", 0)
    assert bench.asked.clear_latches


def test_a_leak_sensor_that_is_switched_off_says_nothing() -> None:
    bench = Bench()
    bench.hall.change_cdu(leak=(CRITICAL, CRITICAL, OK))
    bench.write("leak_sensors", bench.device.map["leak_sensors"].word(["rack_pan"]))
    assert bench.flags("leaks") == {"rack_pan", "rack_pan_relay"}


def test_pumps_and_fans_are_taken_over_each_on_its_own() -> None:
    bench = Bench()
    bench.write("manual_pump_percent", 55)
    assert bench.mode() is ControlMode.LOCAL
    bench.order("manual", "manual_pump")
    bench.hall.change_cdu(supply_c=43.0)
    assert bench.mode() is ControlMode.REMOTE
    assert (bench.asked.remote_pumps, bench.asked.remote_valve) == (True, False)
    firmware = Firmware(CduSettings(), pumps=2)
    sensed = bench.hall.cdu_readings(0)
    for _ in range(60):
        told = firmware.actuators(bench.asked, sensed, 0.0, 1.0)
    assert told.pump_ratio == pytest.approx((0.55, 0.55))
    assert told.fan_ratio == told.valve_ratio > bench.asked.valve_ratio


def test_manual_bits_without_the_master_bit_do_nothing() -> None:
    bench = Bench()
    bench.order("manual_pump", "manual_fan")
    assert bench.mode() is ControlMode.LOCAL


def test_bits_fall_when_the_firmware_has_taken_over_again() -> None:
    bench = Bench()
    bench.order("manual", "manual_pump", "manual_fan", "pump1_reset", "clear_log")
    assert bench.flags("control") == {"manual", "manual_pump", "manual_fan"}
    firmware = Firmware(CduSettings(), pumps=2)
    firmware.actuators(bench.asked, bench.hall.cdu_readings(0), 1e3, 1.0)
    assert bench.flags("control") == frozenset()


def test_system_stop_stills_pumps_and_fans() -> None:
    bench = Bench()
    bench.order("system_stop")
    firmware = Firmware(CduSettings(), pumps=2)
    for _ in range(60):
        told = firmware.actuators(bench.asked, bench.hall.cdu_readings(0), 0.0, 1.0)
    assert told.pump_enabled == (False, False)
    assert told.valve_ratio == 0.0


def test_automatic_flow_follows_its_target() -> None:
    bench = Bench()
    bench.write("flow_target_lpm", 700.0)
    assert bench.asked.flow_target_lpm is None
    bench.order("auto_flow")
    assert bench.asked.flow_target_lpm == pytest.approx(700.0)
    bench.write("flow_target_lpm", 600.0)
    assert bench.asked.flow_target_lpm == pytest.approx(600.0)
    firmware = Firmware(CduSettings(), pumps=2)
    before = firmware.state.pump_ratio[0]
    told = firmware.actuators(bench.asked, bench.hall.cdu_readings(0), 0.0, 1.0)
    assert told.pump_ratio[0] > before


def test_texts_name_the_unit() -> None:
    bench = Bench()
    serial = bench.device.map["serial"]
    words = bench.device.read_registers(serial.address, serial.length)
    assert serial.decode_text(words) == "h1-cdu01"


def test_a_read_may_begin_inside_a_text() -> None:
    bench = Bench()
    serial = bench.device.map["serial"]
    whole = bench.device.read_registers(serial.address, serial.length)
    assert bench.device.read_registers(serial.address + 2, 3) == whole[2:5]


def test_more_pumps_than_the_map_has_are_refused() -> None:
    hall = HandHall()
    hall.change_cdu(
        pump_speed_ratio=(0.5,) * 5, pump_power_w=(1.0,) * 5, pump_state=(PumpHealth.OK,) * 5
    )
    with pytest.raises(ConfigurationError, match="h1/cdu01 has 5 pumps; the ORV3 map has 4"):
        CduModbus(hall, 0, ManualClock())
