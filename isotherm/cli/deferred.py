"""Commands that are imported when they are called.

Every role and benchmark hangs on one command line; a question to the API shall not wait until
controller, emulator and brokers have been imported.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class Deferred(TyperCommand):
    """What help shows of a command: its name and one line. `place` is `module:attribute`, which
    is a function or a Typer of further commands.
    """

    def __init__(self, name: str, place: str, line: str) -> None:
        super().__init__(name, help=line)
        self.place = place

    def load(self) -> Any:
        """The command itself."""
        module, _, attribute = self.place.partition(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            return typer.main.get_group(found)
        alone = typer.Typer(add_completion=False)
        alone.command(self.name)(found)
        return typer.main.get_command(alone)


def deferring(commands: Sequence[Deferred]) -> type[TyperGroup]:
    """A group that has these commands beside the ones it was given."""
    by_name: Mapping[str, Deferred] = {str(command.name): command for command in commands}

    class Group(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands = {**by_name, **self.commands}

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            name, command, rest = super().resolve_command(ctx, args)
            return name, command.load() if isinstance(command, Deferred) else command, rest

    return Group
