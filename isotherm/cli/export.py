"""`isotherm export`: history as Parquet or Arrow files."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from controller.history.levels import RAW_STEP_S, level_of
from controller.history.places import HistoryPlaces
from controller.state.roster import Roster
from controller.store import Store
from controller.store.engine import parse_url
from fleet.clock import NS_PER_S, SystemClock
from fleet.errors import ConfigurationError, IsothermError
from fleet.hall import fleet_of
from isotherm.cli.history import Since, Until
from isotherm.export.choice import Choice, Pieces, pieces_of

if TYPE_CHECKING:
    from isotherm.export.run import Exported

Word = TypeVar("Word", bound=StrEnum)

_FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_HOUR: Final = timedelta(hours=1)


def export(
    out: Annotated[
        Path, typer.Argument(help="A .parquet or .arrow file; with --by a folder of them.")
    ],
    database: Annotated[
        str,
        typer.Option(
            envvar="ISOTHERM_DATABASE",
            help="sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/NAME.",
        ),
    ] = "sqlite:///var/isotherm.db",
    metric: Annotated[
        list[str] | None, typer.Option(help="May be given again; else all that the places have.")
    ] = None,
    place: Annotated[
        list[str] | None,
        typer.Option(help="Chip, sled, UltraServer, loop or CDU, again; else the whole fleet."),
    ] = None,
    since: Since = None,
    until: Until = None,
    step_s: Annotated[int, typer.Option(help="1 for every tick, or 10, 60, 600.")] = RAW_STEP_S,
    by: Annotated[
        str, typer.Option(metavar="hour[,metric]", help="Partition into a folder, Hive style.")
    ] = "",
    format_: Annotated[
        str, typer.Option("--format", help="parquet or arrow; else as the name ends.")
    ] = "",
    ultraservers: Annotated[int, typer.Option(min=1, help="UltraServers of each loop.")] = 2,
    loops: Annotated[int, typer.Option(min=1, help="Cooling loops of the fleet.")] = 1,
    hall: Annotated[
        Path | None, typer.Option(help="JSON of a hall, in place of --loops and --ultraservers.")
    ] = None,
) -> None:
    """Write what was measured into files: the last hour unless told otherwise."""
    from_ns, until_ns = span_of(since, until, SystemClock().unix_ns())
    choice = Choice(
        metrics=tuple(metric or ()),
        places=tuple(place or ()),
        from_unix_ns=from_ns,
        until_unix_ns=until_ns,
        level=level_of(step_s),
    )
    fleet_map = fleet_of(hall, loops=loops, ultraservers=ultraservers)
    roster = Roster(fleet_map)
    pieces = pieces_of(choice, HistoryPlaces(fleet_map, roster))
    store = open_store(database)
    try:
        if not choice.places:
            check_fleet(choice, store, roster)
        written = write(choice, pieces, store, out, by=by, file_format=format_)
    finally:
        store.close()
    Console(stderr=True).print(
        f"{written.rows:,} rows, {moment(written.first_unix_ns)} to "
        f"{moment(written.last_unix_ns)}, in {out}",
        highlight=False,
        soft_wrap=True,
    )


def write(
    choice: Choice, pieces: Pieces, store: Store, out: Path, *, by: str, file_format: str
) -> "Exported":
    # pyarrow takes a second to load, and only this needs it.
    from isotherm.export.files import (  # noqa: PLC0415
        FileFormat,
        PartitionKey,
        format_of,
        open_sink,
    )
    from isotherm.export.rows import Tables  # noqa: PLC0415
    from isotherm.export.run import export as run  # noqa: PLC0415

    keys = [_member(PartitionKey, "--by", word) for word in by.split(",") if word]
    wanted = _member(FileFormat, "--format", file_format) if file_format else None
    chosen = FileFormat.PARQUET if keys and wanted is None else format_of(out, wanted)
    tables = Tables(pieces.metrics, choice.level, pieces.ids)
    sink = open_sink(out, chosen, tables.schema, keys)
    try:
        with _bar() as bar:
            task = bar.add_task("exporting", total=1.0)
            written = run(
                choice,
                pieces,
                store,
                tables,
                sink,
                progress=lambda share: bar.update(task, completed=share),
            )
        if written is None:
            raise IsothermError(nothing(choice, store))
        sink.finish()
    except BaseException:
        sink.abandon()
        raise
    return written


def check_fleet(choice: Choice, store: Store, roster: Roster) -> None:
    """The whole fleet is to be exported: none of it may be left out for a wrong description."""
    with store.read() as tx:
        kept = tx.blocks.groups(
            from_unix_ns=choice.from_unix_ns, until_unix_ns=choice.until_unix_ns
        )
    strangers = sorted(kept - set(roster.group_ids))
    if strangers:
        raise ConfigurationError(
            f"export: history has {strangers[0]} too ({len(strangers)} such), which the fleet "
            "described here has not; describe it by --hall, or by --loops and --ultraservers, or "
            "name places"
        )


def nothing(choice: Choice, store: Store) -> str:
    """Why there is nothing to export, as far as the store says."""
    with store.read() as tx:
        oldest, since = tx.blocks.oldest_unix_ns(), tx.rollups.ticks_kept_since()
    span = f"from {moment(choice.from_unix_ns)} to {moment(choice.until_unix_ns)}"
    if choice.level is None and since > choice.from_unix_ns:
        return (
            f"export: nothing is kept {span}; ticks before {moment(since)} are deleted, "
            "longer steps are kept (--step-s 10)"
        )
    begins = "none is kept at all" if oldest is None else f"ticks begin at {moment(oldest)}"
    return f"export: nothing of this is kept {span}; {begins}"


def open_store(database: str) -> Store:
    """One that exists: to read from a new database is a mistake in its name."""
    url = parse_url(database)
    if url.drivername == "sqlite" and not Path(str(url.database)).is_file():
        raise ConfigurationError(f"database: there is no file {url.database}")
    return Store(database)


def span_of(since: str | None, until: str | None, now_ns: int) -> tuple[int, int]:
    """Nanoseconds of --from and --until; an hour until now by itself."""
    until_ns = now_ns if until is None else _unix_ns("--until", until)
    if since is None:
        return until_ns - round(_HOUR.total_seconds()) * NS_PER_S, until_ns
    return _unix_ns("--from", since), until_ns


def moment(unix_ns: int) -> str:
    at = datetime.fromtimestamp(unix_ns // NS_PER_S, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _unix_ns(option: str, text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{option} {text}: not a time as 2026-01-31T08:00Z") from None
    if at.tzinfo is None:
        raise ConfigurationError(f"{option} {text}: say the offset too, as in {text}Z")
    if not _FIRST <= at <= _LAST:
        raise ConfigurationError(f"{option} {text}: not between 2000 and 2200")
    whole = round(at.replace(microsecond=0).timestamp())
    return whole * NS_PER_S + at.microsecond * 1000


def _member(kind: type[Word], option: str, word: str) -> Word:
    try:
        return kind(word)
    except ValueError:
        there = ", ".join(kind)
        raise ConfigurationError(f"{option} {word}: there is {there}") from None


def _bar() -> Progress:
    """On a terminal only; programs get the last line."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
