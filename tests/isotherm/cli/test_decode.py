import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.ingest.dead_letter import DeadLetter, Reason
from fleet.codec import encode_message
from fleet.commands import Command, StopJob, encode
from fleet.errors import MalformedMessageError
from fleet.events import Event, EventKind, encode_event
from fleet.frame import MISSING_COUNT, Frame, encode_schema, sled_schema
from isotherm.cli.decode import built_in_schemas, decode, telemetry_table


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
    assert found["hbm_ecc_corrected_total", 0]["count"] is None
    assert found["hbm_ecc_corrected_total", 1]["count"] == 7
    assert {row["agent"] for row in rows} == {"h1/us01/r1/s01"}


def test_columns_without_a_document_are_named_by_place_in_a_table() -> None:
    table = telemetry_table([encode_message("l", [make_frame("0" * 16, 3, 2)])], {})
    assert table.column("metric").to_pylist() == ["value"] * 3 + ["count"] * 2
