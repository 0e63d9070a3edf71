"""A recording says what the devices said, byte for byte, and damage is one clear line."""

import json
import threading
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import pytest
import zstandard
from typer.testing import CliRunner

from agent.inputs.cdu_modbus import CduModbusInput
from agent.inputs.cdu_redfish import CduRedfishInput
from agent.inputs.ecc import EccSemantics
from agent.inputs.neuron_monitor import NeuronMonitorInput
from agent.inputs.sled_redfish import SledRedfishInput
from emulator.__main__ import app
from emulator.app_server import listen
from emulator.devices.catalogue import Devices
from emulator.recording.recorder import EXPAND, Recorder
from emulator.recording.replay import Replay
from emulator.recording.serve import serve_replay
from fleet.clock import ManualClock
from fleet.errors import ConfigurationError, DeviceError, UnknownIdError
from fleet.topology import FleetMap, Generation, LoopKind, LoopPlan, mixed_datacenter
from tests.emulator.devices.builders import HandHall

SLED, CDU, AIR_CDU = "h1/us01/r2/s07", "h1/cdu01", "h1/cdu02"
UNIT = "/redfish/v1/ThermalEquipment/CDUs/1"
SENSORS = f"/redfish/v1/Chassis/Sled/Sensors{EXPAND}"
STEPS = 4


class MixedHall(HandHall):
    """A loop of each liquid kind."""

    def __init__(self) -> None:
        super().__init__()
        ultraserver = {Generation.TRN3_GEN2: 1}
        kinds = (LoopKind.LIQUID_TO_LIQUID, LoopKind.LIQUID_TO_AIR)
        plans = [LoopPlan(kind=kind, ultraservers=ultraserver) for kind in kinds]
        self.fleet_map = FleetMap(mixed_datacenter(plans))
        self._cdus = self._cdus * 2
        self._cdu_requests = self._cdu_requests * 2
        self.now_s = 0.0


@dataclass
class Made:
    """A recording, and what the devices answered when it was made, step by step."""

    directory: Path
    lines: list[bytes]
    sensors: list[bytes]
    connectors: list[bytes]
    words: list[list[int]]


def record(directory: Path, *, close: bool = True) -> Made:
    hall = MixedHall()
    devices = Devices(hall, ManualClock())
    made = Made(directory, [], [], [], [])
    tool = devices.neuron_monitor(SLED)
    recorder = Recorder(directory, hall, devices, seed=7)
    for step in range(STEPS):
        hall.pass_time(1.0)
        hall.now_s += 1.0
        hall.change_sled(junction_c=(60.0 + step, 61.0, 62.0, 63.0))
        hall.change_cdu(supply_c=40.0 + 0.5 * step)
        recorder.tick()
        recorder.truth({"s": hall.now_s, "step": step})
        made.lines += tool.read_lines()
        made.sensors.append(get(devices.sled_bmc(SLED), SENSORS))
        made.connectors.append(get(devices.cdu(CDU), f"{UNIT}/SecondaryCoolantConnectors/1"))
        made.words.append(devices.modbus[AIR_CDU].read_registers(36_864, 26))
    if close:
        recorder.close()
    return made


def get(device: object, path: str) -> bytes:
    status, body = device.request("GET", path)  # type: ignore[attr-defined]
    assert status == 200, (path, body)
    return bytes(body)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return record(tmp_path_factory.mktemp("recording") / "made")


def test_a_replay_says_the_same_bytes_step_by_step(made: Made) -> None:
    replay = Replay(made.directory)
    tool = replay.neuron_monitor(SLED)
    for step in range(STEPS):
        assert replay.now_s == step + 1
        assert tool.read_lines() == [made.lines[step]]
        assert tool.read_lines() == []
        assert get(replay.sled_bmc(SLED), SENSORS) == made.sensors[step]
        connector = get(replay.cdu(CDU), f"{UNIT}/SecondaryCoolantConnectors/1")
        assert connector == made.connectors[step]
        assert replay.modbus[AIR_CDU].read_registers(36_864, 26) == made.words[step]
        assert replay.step() == (step < STEPS - 1)
    replay.rewind()
    assert replay.now_s == 1.0
    assert tool.read_lines() == [made.lines[0]]


def test_every_resource_of_the_devices_is_recorded(made: Made) -> None:
    devices, replay = Devices(MixedHall(), ManualClock()), Replay(made.directory)
    for path in devices.sled_bmc(SLED).service.paths:
        assert json.loads(get(replay.sled_bmc(SLED), path)).keys()
    for path in devices.cdu(CDU).service.paths:
        live = json.loads(get(devices.cdu(CDU), path))
        assert json.loads(get(replay.cdu(CDU), path)).keys() == live.keys(), path


def test_the_agents_read_a_replay_unchanged(made: Made) -> None:
    replay = Replay(made.directory)
    for source in (
        SledRedfishInput(replay.sled_bmc(SLED)),
        CduRedfishInput(replay.cdu(CDU)),
        CduModbusInput(replay.modbus[AIR_CDU], pumps=2, rated_rpm=3_600.0),
        NeuronMonitorInput(replay.neuron_monitor(SLED), chips=4, semantics=EccSemantics.CUMULATIVE),
    ):
        samples = source.read(0.0)
        assert samples.errors == ()
        assert len(samples.values) > 5


def test_writes_are_taken_and_change_nothing(made: Made) -> None:
    replay = Replay(made.directory)
    path = f"{UNIT}/PrimaryCoolantConnectors/1"
    before = get(replay.cdu(CDU), path)
    body = b'{"ValvePositionControlPercent": {"SetPoint": 1}}'
    assert replay.cdu(CDU).request("PATCH", path, body) == (200, before)
    replay.modbus[AIR_CDU].write_registers(37_889, [100])
    assert replay.modbus[AIR_CDU].read_registers(37_889, 1) == [400]
    assert replay.sled_runtime(SLED).request("PUT", "/v1/jobs/a", b"{}")[0] == 503


def test_what_was_not_recorded_is_an_error(made: Made) -> None:
    replay = Replay(made.directory)
    assert replay.cdu(CDU).request("GET", "/redfish/v1/Nothing")[0] == 404
    with pytest.raises(DeviceError):
        replay.modbus[AIR_CDU].read_registers(30_000, 1)
    for ask in (replay.sled_bmc, replay.cdu, replay.neuron_monitor, replay.sled_runtime):
        with pytest.raises(UnknownIdError):
            ask("h1/nowhere")
    with pytest.raises(UnknownIdError):
        replay.cdu(AIR_CDU)


def test_a_device_that_is_cut_off_is_silent_in_the_replay_too(tmp_path: Path) -> None:
    hall = MixedHall()
    with_devices = Devices(hall, ManualClock())
    recorder = Recorder(tmp_path / "cut", hall, with_devices)
    for answers in (True, False, True):
        hall.pass_time(1.0)
        hall.change_sled(answers=answers)
        hall.change_cdu(answers=answers)
        recorder.tick()
    recorder.close()
    replay = Replay(tmp_path / "cut")
    before = get(replay.sled_bmc(SLED), SENSORS)
    assert replay.step()
    with pytest.raises(DeviceError, match="did not answer"):
        replay.sled_bmc(SLED).request("GET", SENSORS)
    with pytest.raises(DeviceError, match="did not answer"):
        replay.modbus[AIR_CDU].read_registers(36_864, 1)
    assert replay.step()
    assert get(replay.sled_bmc(SLED), SENSORS) == before


def test_the_manifest_tells_the_fleet_and_the_seed(made: Made) -> None:
    manifest = json.loads((made.directory / "manifest.json").read_text())
    assert (manifest["version"], manifest["seed"], manifest["ticks"]) == (1, 7, STEPS)
    fleet_map = Replay(made.directory).fleet_map
    assert fleet_map.sled_ids == MixedHall().fleet_map.sled_ids
    assert fleet_map.kind_of_loop == (LoopKind.LIQUID_TO_LIQUID, LoopKind.LIQUID_TO_AIR)


def test_the_truth_stands_beside_it(made: Made) -> None:
    frame = (made.directory / "truth.jsonl.zst").read_bytes()
    lines = zstandard.ZstdDecompressor().decompressobj().decompress(frame).splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(STEPS))


def test_the_same_hall_gives_the_same_files(made: Made, tmp_path: Path) -> None:
    record(tmp_path / "again")
    files = {path.relative_to(made.directory) for path in made.directory.rglob("*.*")}
    assert len(files) == 2 + 72 + 2
    for file in files:
        assert (tmp_path / "again" / file).read_bytes() == (made.directory / file).read_bytes()


def test_a_recording_is_not_written_over(made: Made) -> None:
    with pytest.raises(ConfigurationError, match="there is one already"):
        record(made.directory)


# --- damage ------------------------------------------------------------------------------------


@pytest.fixture
def copy(made: Made, tmp_path: Path) -> Path:
    for path in made.directory.rglob("*.*"):
        target = tmp_path / path.relative_to(made.directory)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    return tmp_path


def play(directory: Path) -> None:
    replay = Replay(directory)
    while replay.step():
        pass


def packed(lines: list[bytes]) -> bytes:
    return zstandard.ZstdCompressor().compress(b"".join(line + b"\n" for line in lines))


def unpacked(path: Path) -> list[bytes]:
    return zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes()).splitlines()


def spoil(path: Path, how: str) -> None:
    data, lines = path.read_bytes(), unpacked(path)
    match how:
        case "truncated":
            path.write_bytes(data[: len(data) // 2])
        case "empty":
            path.write_bytes(b"")
        case "not compressed":
            path.write_bytes(b"{}\n" * 4)
        case "flipped":
            path.write_bytes(data[:20] + bytes([data[20] ^ 0xFF]) + data[21:])
        case "a line is cut":
            path.write_bytes(packed([*lines[:2], lines[2][:-5], lines[3]]))
        case "a line is gone":
            path.write_bytes(packed(lines[:3]))
        case "a body is broken":
            body = {SENSORS: "nonsense"}
            path.write_bytes(packed([*lines[:3], msgspec.json.encode({"s": 4.0, "get": body})]))
        case "gone":
            path.unlink()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("truncated", "line 1"),
        ("empty", "in the middle of line 1"),
        ("not compressed", "line 1"),
        ("flipped", "line"),
        ("a line is cut", "line 3"),
        ("a line is gone", "line 4 is missing; there should be 4"),
        ("a body is broken", "line 4 holds a broken body"),
        ("gone", "No such file"),
    ],
)
def test_damage_is_one_line_with_file_and_line(copy: Path, how: str, words: str) -> None:
    file = copy / "sled" / f"{SLED.replace('/', '-')}.jsonl.zst"
    spoil(file, how)
    with pytest.raises(ConfigurationError) as caught:
        play(copy)
    assert str(file) in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "manifest.json"),
        ("{", "manifest.json"),
        ("[]", "manifest.json"),
        ('{"version": 2, "hall": "h", "loops": [], "devices": {}}', "version 2; this program"),
        ('{"version": 1, "hall": "h", "loops": [], "devices": {}}', "cut short"),
        ('{"version": 1, "hall": "h", "loops": [], "devices": {}, "ticks": 0}', "no step"),
    ],
)
def test_a_bad_manifest_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        play(tmp_path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recording_that_was_not_closed_is_cut_short(tmp_path: Path) -> None:
    record(tmp_path / "open", close=False)
    with pytest.raises(ConfigurationError, match="cut short"):
        Replay(tmp_path / "open")


@pytest.mark.parametrize("arguments", [["/nowhere"], ["/nowhere", "--speed", "0"]])
def test_the_command_refuses_in_one_line(arguments: list[str]) -> None:
    ended = CliRunner().invoke(app, ["replay", *arguments])
    assert (ended.exit_code, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)


# --- served ------------------------------------------------------------------------------------


class HandClock(ManualClock):
    """Goes on when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Semaphore(0)

    def wait(self, stop: threading.Event, timeout_s: float) -> bool:
        self.go.acquire()
        return super().wait(stop, timeout_s)


def test_a_recording_is_served_like_a_hall(made: Made) -> None:
    replay, clock, stop = Replay(made.directory), HandClock(), threading.Event()
    with listen(0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(
            target=lambda: serve_replay(
                replay, clock, listener=listener, stop=stop, speed_factor=2.0, loop=True
            )
        )
        thread.start()
        try:
            with httpx.Client(base_url=url, trust_env=False, timeout=10.0) as client:
                listing = client.get("/devices").json()
                assert listing["cdus"] == [CDU, AIR_CDU]
                assert listing["loops"][SLED] == "h1/loop01"
                assert listing["modbus"].keys() == {AIR_CDU}
                assert listing["chips"][SLED] == 4
                path = f"/devices/{CDU}/bmc{UNIT}/SecondaryCoolantConnectors/1"
                assert client.get(path).content == made.connectors[0]
                with client.stream("GET", f"/devices/{SLED}/neuron-monitor") as response:
                    assert next(response.iter_lines()).encode() + b"\n" == made.lines[0]
                assert client.get("/livez").json()["emulated_s"] == 1.0
                assert client.get("/faults").status_code == 404
        finally:
            stop.set()
            clock.go.release()
            thread.join(10.0)
    assert not thread.is_alive()
