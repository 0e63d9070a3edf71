"""A recording on a clock: a recorded step a tick, in its own thread, begun anew at its end."""

import threading
from pathlib import Path
from typing import Final

from emulator.recording.replay import Replay
from emulator.recording.serve import play
from fleet.clock import Clock

STOP_WITHIN_S: Final = 4.0


class ReplayRuntime:
    """Stands where `emulator.runtime.EmulatorRuntime` stands otherwise; nothing can be moved in it.

    ConfigurationError for a folder that holds no recording, or a damaged one.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.replay = Replay(directory)
        self._clock = clock
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def tick(self) -> None:
        if not self.replay.step():
            self.replay.rewind()

    def start(self) -> None:
        """Steps at the pace of the recording, in a thread until `stop`."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)
        self._thread.start()

    def halt(self) -> None:
        """Ask the thread to end; `stop` waits for it."""
        self._stop.set()

    def stop(self) -> bool:
        """Halt, and wait; False when the thread is still running after 4 s."""
        self.halt()
        if self._thread is not None:
            self._thread.join(STOP_WITHIN_S)
            if not self._thread.is_alive():
                self._thread = None
        return self._thread is None

    def close(self) -> None:
        """After `stop`."""
        self.replay.close()

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        play(self.replay, self._clock, self._stop, speed_factor=1.0, loop=True)
