"""The agent's Modbus input and outputs on the emulated CDU: in process and over real TCP."""

import math
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.inputs.cdu_modbus import CduModbusInput
from agent.modbus import ModbusTcp, Registers, host_and_port, orv3
from agent.outputs.cdu_modbus import CduModbusActuators
from agent.transport import NoAnswerError
from emulator.devices.cdu_modbus import CduModbus
from emulator.devices.over_modbus import ModbusServer
from emulator.readings import ControlMode, PumpHealth
from fleet.clock import ManualClock
from fleet.commands import SetCooling
from fleet.errors import ConfigurationError, DeviceError
from fleet.metrics import LEAK_STATES, LeakState
from tests.emulator.devices.builders import HandHall

CDU = "h1/cdu01"
NAN = float("nan")
DRY = (LeakState.OK, LeakState.OK, LeakState.OK)


@dataclass
class Bench:
    hall: HandHall
    clock: ManualClock
    device: CduModbus
    registers: Registers

    def mode(self) -> ControlMode:
        return self.hall.cdu_requests(0).control_mode

    def read(self) -> dict[str, float]:
        source = CduModbusInput(self.registers, pumps=2, rated_rpm=3_600.0)
        samples = source.read(0.0)
        assert samples.errors == ()
        return {f"{metric}{part or ''}": value for (metric, part), value in samples.values.items()}


@pytest.fixture(params=["in process", "over TCP"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    hall, clock = HandHall(), ManualClock()
    hall.change_cdu(leak=DRY, leak_latched=(False,) * 3, fan_power_w=900.0)
    device = CduModbus(hall, 0, clock)
    if request.param == "in process":
        yield Bench(hall, clock, device, device)
        return
    server = ModbusServer({CDU: device})
    server.start()
    registers = ModbusTcp(server.addresses[CDU], unit_id=12, timeout_s=2.0)
    with closing(registers):
        yield Bench(hall, clock, device, registers)
    assert server.stop()


def test_readings_arrive_in_house_units(bench: Bench) -> None:
    bench.hall.change_cdu(heat_removed_w=5_000.0)
    shown = bench.read()
    expected = {
        "supply_c": 40.0,
        "return_c": 48.5,
        "secondary_flow_lpm": 540.0,
        "supply_pressure_kpa": 330.0,
        "secondary_dp_kpa": 180.0,
        "heat_removed_w": 5_000.0,
        "hall_air_c": 27.0,
        "primary_supply_c": 30.0,
        "primary_return_c": 38.0,
        "valve_ratio": 0.6,
        "fan_power_w": 900.0,
        "pump_speed_ratio": 0.85,
        "pump_speed_ratio1": 0.85,
        "pump_power_w": 1_405.0,
        "pump_state": 0.0,
        "control_mode": 0.0,
        "cdu_leak_state": 0.0,
    }
    assert {name: shown[name] for name in expected} == pytest.approx(expected, abs=0.051)
    # Whole percents of humidity: the dew point comes back within 0.4 K.
    assert shown["dew_point_c"] == pytest.approx(14.1, abs=0.4)


def test_what_the_map_can_not_carry_is_nan(bench: Bench) -> None:
    bench.hall.change_cdu(heat_removed_w=280_000.0)
    assert math.isnan(bench.read()["heat_removed_w"])


def test_fans_beyond_their_register_are_read_from_the_whole_unit(bench: Bench) -> None:
    bench.hall.change_cdu(fan_power_w=9_400.0)
    assert bench.read()["fan_power_w"] == pytest.approx(9_400.0, abs=1.0)


def test_a_lost_sensor_is_reported_by_its_bit_and_reads_nan(bench: Bench) -> None:
    bench.hall.change_cdu(supply_c=NAN, primary_return_c=NAN)
    shown = bench.read()
    assert math.isnan(shown["supply_c"])
    assert math.isnan(shown["primary_return_c"])
    assert shown["return_c"] == pytest.approx(48.5)


def test_a_tripped_pump_is_critical_and_the_other_is_not(bench: Bench) -> None:
    bench.hall.change_cdu(
        pump_speed_ratio=(0.0, 1.0),
        pump_state=(PumpHealth.CRITICAL, PumpHealth.OK),
        pump_power_w=(0.0, 2_000.0),
    )
    shown = bench.read()
    assert (shown["pump_state"], shown["pump_state1"]) == (2.0, 0.0)
    assert (shown["pump_power_w"], shown["pump_power_w1"]) == (0.0, 2_000.0)


@pytest.mark.parametrize(
    ("pan", "floor", "latched", "expected"),
    [
        (LeakState.OK, LeakState.OK, False, LeakState.OK),
        (LeakState.OK, LeakState.OK, True, LeakState.WARNING),
        (LeakState.WARNING, LeakState.OK, False, LeakState.CRITICAL),
        (LeakState.OK, LeakState.CRITICAL, True, LeakState.CRITICAL),
        (LeakState.UNAVAILABLE, LeakState.OK, False, LeakState.UNAVAILABLE),
        (LeakState.UNAVAILABLE, LeakState.CRITICAL, True, LeakState.CRITICAL),
    ],
)
def test_leaks_are_seen_also_when_they_are_over(
    bench: Bench, pan: LeakState, floor: LeakState, latched: bool, expected: LeakState
) -> None:
    # A bit has no shades: moisture at the pan is a leak.
    bench.hall.change_cdu(leak=(pan, floor, LeakState.OK), leak_latched=(latched, False, False))
    assert LEAK_STATES[int(bench.read()["cdu_leak_state"])] == expected.value


def test_commands_move_fans_and_pumps_and_are_handed_back(bench: Bench) -> None:
    actuators = CduModbusActuators(bench.registers)
    bench.clock.advance(5.0)
    assert actuators.apply(SetCooling(valve_ratio=0.45, pump_ratio=0.7, supply_c=38.0)) == ""
    asked = bench.hall.cdu_requests(0)
    assert bench.mode() is ControlMode.REMOTE
    assert (asked.remote_valve, asked.remote_pumps) == (True, True)
    assert (asked.valve_ratio, asked.pump_ratio) == (0.45, (0.7, 0.7))
    assert asked.supply_setpoint_c == pytest.approx(38.0)
    assert asked.last_write_monotonic_s == 5.0
    by_hand = bench.read()
    assert by_hand["control_mode"] == 1.0
    assert (by_hand["valve_command_ratio"], by_hand["pump_command_ratio1"]) == (0.45, 0.7)
    actuators.hand_back()
    assert bench.mode() is ControlMode.LOCAL
    alone = bench.read()
    assert alone["control_mode"] == 0.0
    assert math.isnan(alone["valve_command_ratio"])
    assert math.isnan(alone["pump_command_ratio"])


def test_duties_tell_what_is_in_force(bench: Bench) -> None:
    told = CduModbusActuators(bench.registers).told()
    assert (told.valve_ratio, told.pump_ratio) == pytest.approx((0.6, 0.85), abs=0.006)


def test_a_set_point_outside_its_span_is_refused(bench: Bench) -> None:
    actuators = CduModbusActuators(bench.registers)
    with pytest.raises(DeviceError, match=r"37889: illegal value|outlet_target_c"):
        actuators.apply(SetCooling(valve_ratio=0.5, pump_ratio=0.5, supply_c=60.0))
    assert bench.hall.cdu_requests(0).control_mode is ControlMode.LOCAL


@pytest.mark.parametrize("address", [36_864, 37_378, 30_000])
def test_what_is_not_writable_is_refused(bench: Bench, address: int) -> None:
    with pytest.raises(DeviceError):
        bench.registers.write_registers(address, [1])


def test_a_write_is_all_or_nothing(bench: Bench) -> None:
    with pytest.raises(DeviceError):
        bench.registers.write_registers(37_891, [50, 101])
    assert bench.hall.cdu_requests(0).pump_ratio == (0.8, 0.8)


def test_gaps_of_the_map_are_refused(bench: Bench) -> None:
    with pytest.raises(DeviceError):
        bench.registers.read_registers(37_140, 10)


def test_every_register_of_the_map_can_be_read(bench: Bench) -> None:
    for register in orv3():
        words = bench.registers.read_registers(register.address, register.length)
        assert len(words) == register.length


# --- a device that misbehaves ----------------------------------------------------------------


class Broken:
    """A TCP server that answers each connection's first bytes as it is told."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5.0)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5.0)
                asked = connection.recv(1024)
                if asked:
                    connection.sendall(self._answer(asked))


def framed(
    asked: bytes, pdu: bytes, *, tid: bytes | None = None, length: int | None = None
) -> bytes:
    size = len(pdu) + 1 if length is None else length
    return (tid or asked[:2]) + b"\0\0" + size.to_bytes(2, "big") + asked[6:7] + pdu


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: b"",
        lambda _: b"nonsense that is no Modbus",
        lambda asked: framed(asked, b"\x03\x02\x00\x01"),  # one word of two
        lambda asked: framed(asked, b"\x03\x06\x00\x01\x00\x02\x00\x03"),  # three of two
        lambda asked: framed(asked, b"\x03\x03\x00\x01\x00"),  # half a word
        lambda asked: framed(asked, b"\x03\xff\x00"),  # says more than it has
        lambda asked: framed(asked, b"\x03"),  # no data at all
        lambda asked: framed(asked, b"\x83"),  # an exception without its code
        lambda asked: framed(asked, b"\x83\x02"),
        lambda asked: framed(asked, b"\x83\xfe"),  # an exception that is not defined
        lambda asked: framed(asked, b"\x10\x00\x01\x00\x02"),  # the answer to a write
        lambda asked: framed(asked, b"\x63\x00"),  # an unknown function
        lambda asked: framed(asked, b"\x03\x04\x00\x01\x00\x02", tid=b"\xff\xfe"),
        lambda asked: framed(asked, b"\x03\x04\x00\x01\x00\x02", length=2),
        lambda asked: framed(asked, b"\x03\x04\x00\x01\x00\x02", length=60_000),
        lambda asked: framed(asked, b"\x03\x04\x00\x01")[:9],
    ],
)
def test_an_answer_that_is_none_is_one_clear_error(answer: Callable[[bytes], bytes]) -> None:
    server = Broken(answer)
    registers = ModbusTcp(server.place, unit_id=12, timeout_s=0.3)
    try:
        with pytest.raises(DeviceError) as caught:
            registers.read_registers(36_864, 2)
        assert server.place in str(caught.value)
        assert "\n" not in str(caught.value)
    finally:
        registers.close()
        server.close()


def test_nobody_there_is_no_answer_and_takes_nothing_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    registers = ModbusTcp(f"127.0.0.1:{port}", unit_id=12, timeout_s=0.3)
    with pytest.raises(NoAnswerError):
        registers.read_registers(36_864, 1)
    samples = CduModbusInput(registers, pumps=2, rated_rpm=3_600.0).read(0.0)
    assert len(samples.errors) == 1
    assert samples.values["cdu_leak_state", 0] == LEAK_STATES.index(LeakState.UNAVAILABLE)


def test_a_device_that_comes_back_is_read_again() -> None:
    hall, answers = HandHall(), [b""]
    device = CduModbus(hall, 0, ManualClock())
    server = Broken(lambda _: answers[0])
    registers = ModbusTcp(server.place, unit_id=12, timeout_s=0.3)
    with pytest.raises(DeviceError):
        registers.read_registers(36_865, 1)
    server.close()
    alive = ModbusServer({CDU: device}, first_port=int(server.place.rpartition(":")[2]))
    alive.start()
    with closing(registers):
        assert registers.read_registers(36_865, 1) == [400]
    assert alive.stop()


@dataclass
class Words:
    """Registers that hold whatever they were given."""

    words: list[int]

    def read_registers(self, address: int, count: int) -> list[int]:
        return [self.words[(address + place) % len(self.words)] for place in range(count)]

    def write_registers(self, address: int, words: list[int]) -> None:
        raise AssertionError("an input writes nothing")


@settings(max_examples=200)
@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=50))
def test_any_words_make_numbers_or_nan(words: list[int]) -> None:
    samples = CduModbusInput(Words(words), pumps=4, rated_rpm=3_600.0).read(0.0)
    assert samples.errors == ()
    assert 0 <= samples.values["cdu_leak_state", 0] < len(LEAK_STATES)
    assert all(isinstance(value, float) for value in samples.values.values())


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("cdu", ("cdu", 502)),
        ("10.0.0.1:1502", ("10.0.0.1", 1502)),
        ("[::1]:1502", ("::1", 1502)),
        ("[::1]", ("::1", 502)),
    ],
)
def test_addresses(place: str, expected: tuple[str, int]) -> None:
    assert host_and_port(place) == expected


@pytest.mark.parametrize("place", ["", ":502", "cdu:", "cdu:x", "cdu:0", "cdu:99999", "cdu:-1"])
def test_bad_addresses_are_refused(place: str) -> None:
    with pytest.raises(ConfigurationError):
        host_and_port(place)


def test_a_port_in_use_is_one_clear_error() -> None:
    device = CduModbus(HandHall(), 0, ManualClock())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = ModbusServer({CDU: device}, first_port=taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match="Modbus of h1/cdu01: port"):
            server.start()


def test_too_many_open_files_are_not_blamed_on_the_device() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("this machine lets a process open too few files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    with socket.create_server(("127.0.0.1", 0)) as nobody, ExitStack() as stack:
        while (held := stack.enter_context(Path(os.devnull).open())).fileno() < 1024:
            pass
        registers = stack.enter_context(
            closing(ModbusTcp(f"127.0.0.1:{nobody.getsockname()[1]}", unit_id=1))
        )
        with pytest.raises(DeviceError, match=r"too many open files.*below 1024"):
            registers.read_registers(0, 2)
        assert held.fileno() >= 1024
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
