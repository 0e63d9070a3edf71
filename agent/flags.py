"""Commands whose flags are the fields of dataclasses."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import wraps
from typing import Any, get_type_hints

Command = Callable[..., None]


def flags_of(*kinds: type) -> Callable[[Command], Command]:
    """Turns a function of one argument a dataclass into a command of one flag a field.

    A field is annotated as typer wants a parameter to be; its default is the flag's.
    """

    def commanded(command: Command) -> Command:
        parameters = [parameter for kind in kinds for parameter in _parameters(kind)]

        @wraps(command)
        def told(**given: Any) -> None:
            command(
                *(kind(**{one.name: given[one.name] for one in fields(kind)}) for kind in kinds)
            )

        # typer reads both.
        vars(told)["__signature__"] = inspect.Signature(parameters)
        told.__annotations__ = {one.name: one.annotation for one in parameters}
        return told

    return commanded


def _parameters(kind: type) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if one.default is MISSING else one.default,
            annotation=hints[one.name],
        )
        for one in fields(kind)
    ]
