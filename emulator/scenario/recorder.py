"""What a run writes: the truth, one JSON document a line, compressed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import zstandard

from emulator.datacenter import World
from emulator.scenario.scenario import Scenario
from emulator.scenario.truth import faults_line, header, state_line
from fleet.errors import ConfigurationError

TRUTH: Final = "truth.jsonl.zst"
_SLACK_S: Final = 1e-6


class ScenarioRecorder:
    """Writes into a new folder. ConfigurationError when that can not be made."""

    def __init__(self, folder: Path, world: World, scenario: Scenario, seed: int) -> None:
        self._world = world
        self._truth_s = scenario.recording.truth_s
        self._next_s = 0.0
        self._faults: list[Any] = []
        try:
            folder.mkdir(parents=True, exist_ok=False)
            self._file = (folder / TRUTH).open("wb")
        except OSError as error:
            reason = "it is there already" if isinstance(error, FileExistsError) else error.strerror
            raise ConfigurationError(f"can not record to {folder}: {reason}") from None
        self._stream = zstandard.ZstdCompressor().stream_writer(self._file)
        self._write(header(world, scenario=scenario.name, seed=seed))

    def tick(self) -> None:
        """After a step: faults whenever they change, the state every so often."""
        line = faults_line(self._world)
        if line["faults"] != self._faults:
            self._faults = line["faults"]
            self._write(line)
        if self._world.now_s + _SLACK_S >= self._next_s:
            self._next_s += self._truth_s
            self._write(state_line(self._world))

    def close(self) -> None:
        self._stream.flush(zstandard.FLUSH_FRAME)
        self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._stream.write(msgspec.json.encode(line) + b"\n")
