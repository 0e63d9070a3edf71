"""`isotherm history`: what was measured, over time."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from api.client import ApiClient
from isotherm.cli.output import Format, every_field, show, show_json, terminal
from isotherm.cli.people import DEFAULT_API, Api, Output

console = terminal()

Since = Annotated[
    str | None, typer.Option("--from", help="ISO time with offset, 2026-01-31T08:00Z.")
]
Until = Annotated[str | None, typer.Option("--until", help="The same; now when not given.")]


def history(
    place: Annotated[str, typer.Argument(help="A chip, sled, UltraServer, loop or CDU.")],
    metrics: Annotated[list[str], typer.Argument(metavar="METRIC...")],
    since: Since = None,
    until: Until = None,
    step_s: Annotated[int | None, typer.Option(help="1, 10, 60 or 600; else what fits.")] = None,
    output: Output = Format.TABLE,
    api: Api = DEFAULT_API,
) -> None:
    """What was measured at a place, the last hour unless told otherwise."""
    with ApiClient(api) as client:
        answer = client.history(place, metrics, since=since, until=until, step_s=step_s)
    if output is Format.JSON:
        show_json(console, answer)
        return
    rows = [row for series in answer["series"] for row in lines(series)]
    show(console, rows, every_field(rows), output)
    console.print(
        f"steps of {answer['step_s']} s, complete until {answer['complete_until'] or '-'}"
    )


def lines(series: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each time."""
    values = series["values"]
    return [
        {
            "at": datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds"),
            "id": series["id"],
            "metric": series["metric"],
            **{name: column[place] for name, column in values.items()},
        }
        for place, at_s in enumerate(series["at_unix_s"])
    ]
