"""What a run writes: what devices say, and the truth beside it."""

from pathlib import Path
from typing import Any, Final

from emulator.datacenter import World
from emulator.devices.catalogue import Devices
from emulator.recording.recorder import Recorder
from emulator.scenario.scenario import Scenario
from emulator.scenario.truth import faults_line, header, state_line
from fleet.clock import Clock

_SLACK_S: Final = 1e-6


class ScenarioRecorder:
    """Writes into a folder that holds no recording yet; ConfigurationError when that can not be."""

    def __init__(
        self, folder: Path, world: World, scenario: Scenario, *, clock: Clock, seed: int
    ) -> None:
        self._world = world
        self._recorder = Recorder(folder, world, Devices(world, clock), seed=seed)
        self._recorder.truth(header(world, scenario=scenario.name, seed=seed))
        self._telemetry = _Due(scenario.recording.telemetry_s)
        self._state = _Due(scenario.recording.truth_s)
        self._faults: list[Any] = []

    def tick(self) -> None:
        """After a step: faults whenever they change, telemetry and state every so often."""
        line = faults_line(self._world)
        if line["faults"] != self._faults:
            self._faults = line["faults"]
            self._recorder.truth(line)
        if self._state.now(self._world.now_s):
            self._recorder.truth(state_line(self._world))
        if self._telemetry.now(self._world.now_s):
            self._recorder.tick()

    def close(self) -> None:
        """Completes the recording."""
        self._recorder.close()


class _Due:
    """Comes round every so many seconds, whatever the steps are; first at once."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._next_s = 0.0

    def now(self, now_s: float) -> bool:
        if now_s + _SLACK_S < self._next_s:
            return False
        while self._next_s <= now_s + _SLACK_S:
            self._next_s += self._period_s
        return True
