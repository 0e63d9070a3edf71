import struct
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from controller.history.block import encode_count, encode_gauge
from controller.history.flat import Flat
from controller.history.rollup import Stat
from controller.ingest.dead_letter import DeadLetter, Reason
from fleet.codec import encode_message
from fleet.commands import Command, StopJob, encode
from fleet.errors import MalformedMessageError
from fleet.events import Event, EventKind, encode_event
from fleet.frame import MISSING_COUNT, Frame, encode_schema, sled_schema
from fleet.metrics import BY_NAME
from isotherm.cli.decode import arrow_table, built_in_schemas, decode, telemetry_table
from isotherm.export.files import FileFormat, open_sink
from isotherm.export.rows import Tables


def make_frame(schema_id: str, columns: int, counters: int) -> Frame:
    values = np.full((1, columns), 61.25, dtype=np.float32)
    values[0, 1] = np.nan
    counts = np.full((1, counters), 7, dtype=np.uint64)
    counts[0, 0] = MISSING_COUNT
    return Frame(
        agent="h1/us01/r1/s01",
        epoch=1,
        seq=2,
        schema_id=schema_id,
        t0_unix_ns=3,
        dt_ns=1_000_000_000,
        values=values,
        counters=counts,
    )


def test_columns_get_their_names_and_absent_values_are_null() -> None:
    schema = sled_schema(4)
    frame = make_frame(schema.id, len(schema.columns), len(schema.counters))
    shown = decode(encode_message("h1/loop01", [frame]), built_in_schemas())
    tick = shown["frames"][0]["ticks"][0]
    assert tick["junction_c[0]"] == 61.25
    assert tick["junction_c[1]"] is None
    assert tick["hbm_ecc_corrected_total[0]"] is None
    assert tick["hbm_ecc_corrected_total[1]"] == 7


def test_columns_of_an_unknown_schema_stay_without_names() -> None:
    frame = make_frame("0" * 16, 3, 2)
    shown = decode(encode_message("h1/loop01", [frame]), built_in_schemas())["frames"][0]
    assert "ticks" not in shown
    assert shown["values"] == [[61.25, None, 61.25]]


def test_a_schema_that_does_not_fit_its_frame_gives_no_names() -> None:
    shown = decode(
        encode_message("h1/loop01", [make_frame(sled_schema(4).id, 3, 2)]), built_in_schemas()
    )
    assert "ticks" not in shown["frames"][0]


def test_every_other_kind_is_told_apart() -> None:
    command = Command(
        id="c1",
        target="h1/us01/r1/s01",
        cause="job",
        issued_at_unix_ns=1,
        expires_at_unix_ns=2,
        term=1,
        seq=1,
        action=StopJob(job_id="j", attempt=1),
    )
    event = Event(id="e1", kind=EventKind.AGENT_STARTED, subject="h1/cdu01", at_unix_ns=1, cause="")
    assert decode(encode(command), {})["kind"] == "command"
    assert decode(encode_event(event), {})["kind"] == "event"
    assert decode(encode_schema(sled_schema(4)), {})["id"] == sled_schema(4).id


@given(st.binary(max_size=100))
def test_nonsense_is_one_clear_error(data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        decode(data, {})


def test_a_dead_letter_shows_the_message_inside() -> None:
    event = Event(
        id="e", kind=EventKind.JOB_PLACED, subject="job", at_unix_ns=1, cause="c", detail={}
    )
    letter = DeadLetter(
        reason=Reason.MALFORMED,
        detail="why",
        topic="t",
        partition=0,
        offset=7,
        key="k",
        value=encode_event(event),
    )
    shown = decode(msgspec.msgpack.encode(letter), {})
    assert (shown["kind"], shown["dead_letter"]["offset"]) == ("dead_letter", 7)
    assert shown["dead_letter"]["message"]["event"]["id"] == "e"


def test_telemetry_becomes_a_table_with_a_row_for_each_value() -> None:
    schema = sled_schema(4)
    frame = make_frame(schema.id, len(schema.columns), len(schema.counters))
    message = encode_message("h1/loop01", [frame])
    rows = telemetry_table([message, message], built_in_schemas()).to_pylist()
    assert len(rows) == 2 * (len(schema.columns) + len(schema.counters))
    found = {(row["metric"], row["part"]): row for row in rows}
    assert found["junction_c", 0]["value"] == 61.25
    assert found["junction_c", 1]["value"] is None
    assert found["hbm_ecc_corrected_total", 0]["exact"] is None
    assert found["hbm_ecc_corrected_total", 1]["exact"] == 7
    assert {row["agent"] for row in rows} == {"h1/us01/r1/s01"}


def test_columns_without_a_document_are_named_by_place_in_a_table() -> None:
    table = telemetry_table([encode_message("l", [make_frame("0" * 16, 3, 2)])], {})
    assert table.column("metric").to_pylist() == ["value"] * 3 + ["count"] * 2


def make_event(number: int, **detail: str) -> bytes:
    kind = EventKind.JOB_PLACED
    return encode_event(
        Event(id=f"e{number}", kind=kind, subject="job", at_unix_ns=1, cause="c", detail=detail)
    )


def test_messages_of_one_kind_are_a_row_each() -> None:
    rows = arrow_table([make_event(1), make_event(2, why="that")], {}).to_pylist()
    assert [row["id"] for row in rows] == ["e1", "e2"]
    assert [row["detail"] for row in rows] == ["{}", '{"why":"that"}']
    schema = arrow_table([encode_schema(sled_schema(4))], {}).to_pylist()
    assert (schema[0]["kind"], schema[0]["id"]) == ("schema", sled_schema(4).id)
    with pytest.raises(MalformedMessageError, match=r"several kinds \(event, schema\)"):
        arrow_table([make_event(1), encode_schema(sled_schema(4))], {})


VALUES = np.array([[1.5, np.nan], [2.5, 3.5]], np.float32)
COUNTS = np.array([[2**63, MISSING_COUNT], [7, 8]], np.uint64)


def test_a_block_of_history_shows_its_values() -> None:
    gauge = decode(encode_gauge(VALUES)[0], {})
    assert (gauge["kind"], gauge["rows"], gauge["ticks"]) == ("history_block", 2, 2)
    assert gauge["values"] == [[1.5, None], [2.5, 3.5]]
    assert decode(encode_count(COUNTS), {})["values"] == [[2**63, None], [7, 8]]
    rows = arrow_table([encode_gauge(VALUES)[0], encode_count(COUNTS)], {}).to_pylist()
    assert [row["value"] for row in rows] == [1.5, None, 2.5, 3.5] + 4 * [None]
    assert [row["exact"] for row in rows] == 4 * [None] + [2**63, None, 7, 8]
    assert [(row["block"], row["row"], row["tick"]) for row in rows[3:6]] == [
        (0, 1, 1),
        (1, 0, 0),
        (1, 0, 1),
    ]


@given(st.integers(0, 60), st.binary(min_size=1, max_size=3))
def test_a_damaged_block_is_one_clear_error(at: int, garbage: bytes) -> None:
    whole = encode_gauge(VALUES)[0]
    data = whole[:at] + garbage + whole[at + len(garbage) :]
    try:
        decode(data, {})
    except MalformedMessageError:
        return
    # Flipped bits that leave a block a block: values differ, nothing else can.


def test_a_block_that_claims_to_be_huge_is_refused() -> None:
    head = struct.pack("<BBBBIII", 5, 0, 0, 0, 2**13, 2**13, 0)
    with pytest.raises(MalformedMessageError, match="are not shown"):
        decode(head + zstandard.compress(b""), {})


@pytest.mark.parametrize("file_format", list(FileFormat))
def test_an_exported_file_shows_its_first_rows(tmp_path: Path, file_format: FileFormat) -> None:
    spec = BY_NAME["supply_c"]
    tables = Tables([spec], None, ["h1/cdu01"])
    flat = Flat(
        metric="supply_c",
        rows=np.zeros(3, np.int32),
        at_unix_ns=np.arange(3) + 1_760_000_000_000_000_001,
        values={Stat.LAST: np.array([40.0, np.nan, 41.0], np.float32)},
    )
    sink = open_sink(tmp_path / "file", file_format, tables.schema, ())
    sink.write(tables.table("supply_c", flat.rows, [flat]), metric="supply_c", at_unix_ns=0)
    sink.finish()
    data = (tmp_path / "file").read_bytes()
    shown = decode(data, {}, rows_shown=2)
    assert (shown["kind"], shown["rows_in_all"], shown["step_s"]) == ("export", 3, 1)
    assert shown["metrics"]["supply_c"]["unit"] == "degree Celsius, absolute"
    assert shown["rows"] == [
        {
            "at_unix_ns": 1_760_000_000_000_000_001 + row,
            "id": "h1/cdu01",
            "metric": "supply_c",
            "value": value,
            "exact": None,
            **dict.fromkeys(("min", "max", "mean", "count")),
        }
        for row, value in ((0, 40.0), (1, None))
    ]
    assert arrow_table([data], {}).num_rows == 3
    with pytest.raises(MalformedMessageError, match="not a whole exported file"):
        decode(data[: len(data) // 2], {})
