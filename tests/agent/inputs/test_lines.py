import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.inputs.lines import MAX_LINE_BYTES, CommandLines, FileLines, LineSource, split_lines
from fleet.errors import ConfigurationError, DeviceError


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Real processes take real time; wait on nothing but the condition."""
    pause = threading.Event()
    for _ in range(round(timeout_s / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it did not happen in time")


def gather(source: LineSource, lines: list[bytes], troubles: list[str]) -> int:
    """How many lines there are now."""
    try:
        lines += source.read_lines()
    except DeviceError as error:
        troubles.append(str(error))
    return len(lines)


def test_a_recording_gives_one_report_a_tick_and_then_says_that_it_ended(tmp_path: Path) -> None:
    recording = tmp_path / "recorded.ndjson"
    recording.write_bytes(b'{"a": 1}\n{"a": 2}\n')
    lines = FileLines(recording)
    assert [lines.read_lines(), lines.read_lines()] == [[b'{"a": 1}\n'], [b'{"a": 2}\n']]
    with pytest.raises(DeviceError, match="has ended"):
        lines.read_lines()
    lines.close()


def test_a_recording_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can not be read"):
        FileLines(tmp_path / "missing")


def test_a_command_streams_and_is_ended_on_close() -> None:
    program = "import time; print('{}', flush=True); print('{}', flush=True); time.sleep(600)"
    source = CommandLines([sys.executable, "-c", program])
    lines: list[bytes] = []
    until(lambda: gather(source, lines, []) == 2)
    process = source._process
    source.close()
    assert process is not None
    assert process.poll() is not None


def test_a_command_that_ends_is_started_again() -> None:
    source = CommandLines([sys.executable, "-c", "print('{}')"])
    lines: list[bytes] = []
    troubles: list[str] = []
    until(lambda: gather(source, lines, troubles) >= 2)
    source.close()
    assert any("ended with code 0; trying again in 1 s" in trouble for trouble in troubles)


def test_a_command_that_does_not_exist_is_a_device_error() -> None:
    source = CommandLines(["/nonexistent/neuron-monitor"])
    troubles: list[str] = []
    until(lambda: gather(source, [], troubles) == 0 and "started" in troubles[-1])
    source.close()
    assert "No such file" in troubles[-1]


def test_an_empty_command_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError):
        CommandLines([])


@given(st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"")), max_size=8), st.data())
def test_lines_survive_any_cut(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    pieces = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        pieces.append(stream[:cut])
        stream = stream[cut:]
    assert list(split_lines(iter(pieces))) == lines


def test_an_endless_line_is_bounded_and_the_next_is_whole() -> None:
    flood = (b"x" * 2**18 for _ in range(20))
    found = list(split_lines(iter([*flood, b"tail\n", b"{}\n"])))
    assert [len(line) for line in found] == [MAX_LINE_BYTES, 2]
