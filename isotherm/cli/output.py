"""Rows for people or for programs."""

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table


class Format(StrEnum):
    TABLE = "table"  # aligned columns
    JSON = "json"  # what the API answered


Columns = Mapping[str, str]
"""Heading -> key of an item, dotted where it goes down."""

WIDE = 1000


def terminal() -> Console:
    """Tables fit the window of a person; a program gets whole lines."""
    return Console() if sys.stdout.isatty() else Console(width=WIDE)


def show(
    console: Console, items: Sequence[Mapping[str, Any]], columns: Columns, output: Format
) -> None:
    if output is Format.JSON:
        show_json(console, list(items))
    elif items:
        console.print(table_of(items, columns))
    else:
        console.print("nothing found")


def table_of(items: Sequence[Mapping[str, Any]], columns: Columns) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in columns:
        table.add_column(heading, overflow="fold")
    for item in items:
        table.add_row(*(cell(pick(item, path)) for path in columns.values()))
    return table


def every_field(items: Sequence[Mapping[str, Any]]) -> Columns:
    """All that the items have at their top, for kinds of which few are listed."""
    return {name.upper(): name for name in (items[0] if items else ())}


def show_json(console: Console, value: Any) -> None:
    console.print(
        msgspec.json.format(msgspec.json.encode(value), indent=2).decode(),
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def pick(item: Mapping[str, Any], path: str) -> Any:
    value: Any = item
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
        case list():
            return "; ".join(cell(part) for part in value) or "-"
        case dict():
            return ", ".join(f"{key} {cell(part)}" for key, part in value.items())
        case _:
            return str(value)
