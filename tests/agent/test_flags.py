from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from agent.flags import flags_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    name: Annotated[str, typer.Option(help="Which.")]
    floor: Annotated[int, typer.Option(min=0)] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    loud: Annotated[bool, typer.Option("--loud")] = False


def said(*arguments: str) -> tuple[int, str]:
    app = typer.Typer(add_completion=False)

    @app.command()
    @flags_of(Place, Wish)
    def tell(place: Place, wish: Wish) -> None:
        """Tell it all."""
        typer.echo(f"{place} {wish}")

    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_fields_are_flags_with_their_defaults() -> None:
    assert said("--name", "a") == (0, f"{Place(name='a')} {Wish()}\n")
    expected = f"{Place(name='b', floor=3)} {Wish(loud=True)}\n"
    assert said("--floor", "3", "--loud", "--name", "b") == (0, expected)


def test_what_is_wrong_with_a_flag_is_told_as_ever() -> None:
    assert said()[0] == 2
    assert said("--name", "a", "--floor", "-1")[0] == 2
    assert "Tell it all." in said("--help")[1]
