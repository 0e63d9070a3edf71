from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from fleet.clock import Clock


class Progress:
    """Says what is being started, and how long each step took; plain lines when not a terminal."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._begin_s = clock.monotonic_s()

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        begin_s = self._clock.monotonic_s()
        if self._console.is_terminal:
            with self._console.status(text):
                yield
        else:
            yield
        self._console.print(
            f"  [green]✓[/green] {text} [dim]{self._clock.monotonic_s() - begin_s:.1f} s[/dim]"
        )

    def done(self, text: str) -> None:
        self._console.print(f"{text} [dim]{self._clock.monotonic_s() - self._begin_s:.1f} s[/dim]")
