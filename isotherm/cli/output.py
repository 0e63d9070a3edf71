"""Rows for people or for programs."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table


class Format(StrEnum):
    TABLE = "table"  # aligned columns
    JSON = "json"  # what the API answered


def show(
    console: Console,
    items: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    output: Format,
) -> None:
    """`columns` are keys of an item, dotted where they go down."""
    if output is Format.JSON:
        show_json(console, list(items))
        return
    if not items:
        console.print("nothing found")
        return
    console.print(table_of(items, columns))


def table_of(items: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.rpartition(".")[2], overflow="fold")
    for item in items:
        table.add_row(*(cell(pick(item, column)) for column in columns))
    return table


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
