"""Streams that a real neuron-monitor printed become a recording that agents read."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from agent.inputs.ecc import EccSemantics
from agent.inputs.neuron_monitor import NeuronMonitorInput
from emulator.__main__ import app
from emulator.recording.adopt import adopt
from emulator.recording.replay import Replay
from fleet.clock import ManualClock
from fleet.errors import ConfigurationError, DeviceError, IsothermError
from fleet.topology import Generation
from isotherm.up.embedded import EmbeddedDatacenter, EmbeddedOptions

# The form of the AWS Neuron guide to neuron-monitor, on a trn2.48xlarge; values are of no host.
TRN2: Mapping[str, Any] = {
    "neuron_runtime_data": [
        {
            "pid": 41207,
            "address": "",
            "neuron_runtime_tag": "serve-1",
            "error": "",
            "report": {
                "neuroncore_counters": {
                    "period": 2.0003,
                    "error": "",
                    "neuroncores_in_use": {
                        str(core): {"neuroncore_utilization": 80.0, "flops": 4e14}
                        for core in range(4)
                    },
                }
            },
        }
    ],
    "system_data": {
        "neuron_hw_counters": {
            "period": 5.0007,
            "error": "",
            "neuron_devices": [
                {
                    "neuron_device_index": device,
                    "mem_ecc_corrected": device,
                    "mem_ecc_uncorrected": 0,
                    "sram_ecc_uncorrected": 0,
                }
                for device in range(16)
            ],
        }
    },
    "instance_info": {"instance_type": "trn2.48xlarge", "error": ""},
    "neuron_hardware_info": {
        "neuron_device_type": "trainium2",
        "neuron_device_version": "v4",
        "neuroncore_version": "v3d",
        "neuron_device_count": 16,
        "neuron_device_memory_size": 103079215104,
        "neuroncore_per_device_count": 4,
        "logical_neuroncore_config": 2,
        "error": "",
    },
}


def stream(path: Path, steps: int = 3, **hardware: Any) -> Path:
    report = {**TRN2, "neuron_hardware_info": TRN2["neuron_hardware_info"] | hardware}
    text = "".join(json.dumps(report | {"step": step}) + "\n" for step in range(steps))
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def test_hosts_say_again_what_they_printed_at_the_pace_of_the_tool(tmp_path: Path) -> None:
    first, second = stream(tmp_path / "a.jsonl"), stream(tmp_path / "b.jsonl.gz", steps=2)
    made = adopt([first, second], tmp_path / "made")
    assert [loop.kind for loop in made.loops] == ["air"]
    replay = Replay(tmp_path / "made")
    sleds = replay.sled_ids
    assert sleds == ("h1/us01/r1/s01", "h1/us02/r1/s01")
    assert replay.now_s == 2.0003
    tool = replay.neuron_monitor(sleds[0])
    printed = first.read_bytes().splitlines(keepends=True)
    assert [tool.read_lines(), replay.step(), tool.read_lines()] == [
        [printed[0]],
        True,
        [printed[1]],
    ]
    assert replay.step()
    assert not replay.step()
    with pytest.raises(DeviceError, match="did not answer"):
        replay.sled_bmc(sleds[1]).request("GET", "/redfish/v1")


def test_an_agent_reads_an_adopted_host(tmp_path: Path) -> None:
    adopt([stream(tmp_path / "a.jsonl")], tmp_path / "made")
    replay = Replay(tmp_path / "made")
    source = NeuronMonitorInput(
        replay.neuron_monitor(replay.sled_ids[0]), chips=16, semantics=EccSemantics.DELTA
    )
    samples = source.read(0.0)
    assert samples.errors == ()
    assert samples.values["neuroncore_utilization_ratio", 0] == pytest.approx(0.8)
    assert samples.counters["hbm_ecc_corrected_total", 7] == 7


def test_liquid_sleds_are_some_of_an_ultraserver_and_only_they_have_agents(tmp_path: Path) -> None:
    files = [
        stream(tmp_path / name, neuron_device_type="trainium3", neuron_device_count=4)
        for name in ("a.jsonl", "b.jsonl")
    ]
    made = adopt(files, tmp_path / "made", step_s=1.0)
    assert list(made.devices) == ["h1/us01/r1/s01", "h1/us01/r1/s02"]
    replay = Replay(tmp_path / "made")
    assert (replay.fleet_map.chips, replay.now_s) == (144, 1.0)
    options = EmbeddedOptions(state_dir=tmp_path / "state", replay=tmp_path / "made")
    whole = EmbeddedDatacenter(options, replay.fleet_map, ManualClock())
    try:
        for _ in range(3):
            whole.tick()
        counts = whole.agents.totals()
        # Each agent says once that its card can not be read; what it can read it tells.
        assert counts["identity_errors"] == len(made.devices)
        assert counts["published"] > 0
    finally:
        whole.close()


def test_a_small_instance_stands_in_the_smallest_host_that_has_its_devices(tmp_path: Path) -> None:
    one = stream(tmp_path / "a.jsonl", neuron_device_type="trainium", neuron_device_count=1)
    untold = stream(tmp_path / "b.jsonl", neuron_device_type="")
    with pytest.raises(ConfigurationError, match=r"b\.jsonl: 16 devices of type ''"):
        adopt([one, untold], tmp_path / "no")
    made = adopt([untold], tmp_path / "told", generation=Generation.TRN2)
    assert made.loops[0].ultraservers == [("h1/us01", Generation.TRN2)]
    assert adopt([one], tmp_path / "made").loops[0].ultraservers == [("h1/us01", Generation.TRN1)]


def test_a_line_cut_off_at_the_end_is_left_out(tmp_path: Path) -> None:
    path = stream(tmp_path / "a.jsonl")
    path.write_bytes(path.read_bytes()[:-40])
    assert adopt([path], tmp_path / "made").ticks == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it holds no line"),
        ("{}\n", r":1: .*neuron_hardware_info"),
        ('{"neuron_hardware_info": {"neuron_device_count": 1}}\n', ":1: .*neuron_runtime_data"),
        ("\x00\x01\n{}\n", ":1: "),
    ],
)
def test_what_no_neuron_monitor_printed_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        adopt([path], tmp_path / "made")
    ended = CliRunner().invoke(app, ["adopt", str(path), "--into", str(tmp_path / "made")])
    assert (ended.exit_code, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("step_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_step_that_is_none_is_refused(tmp_path: Path, step_s: float) -> None:
    with pytest.raises(ConfigurationError, match="step of"):
        adopt([stream(tmp_path / "a.jsonl")], tmp_path / "made", step_s=step_s)


def test_missing_files_and_too_many_devices_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        adopt([tmp_path / "none.jsonl"], tmp_path / "made")
    broken = tmp_path / "a.jsonl.gz"
    broken.write_bytes(b"not gzip at all")
    with pytest.raises(ConfigurationError, match=r"a\.jsonl\.gz"):
        adopt([broken], tmp_path / "made")
    many = stream(tmp_path / "b.jsonl")
    with pytest.raises(ConfigurationError, match="a host of trn3-gen2 has 4"):
        adopt([many], tmp_path / "made", generation=Generation.TRN3_GEN2)


@given(data=st.binary(max_size=200))
def test_nonsense_is_always_one_clear_error(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("adopt")
    path = directory / "a.jsonl"
    path.write_bytes(data)
    with pytest.raises(IsothermError):
        adopt([path], directory / "made")
