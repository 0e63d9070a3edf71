import msgspec
import pytest

from fleet.errors import MalformedMessageError
from fleet.frame import (
    Column,
    Reporter,
    Schema,
    cdu_schema,
    decode_schema,
    encode_schema,
    known,
    schema_id,
    sled_schema,
)


def test_a_schema_is_addressed_by_its_content() -> None:
    schema = sled_schema(4)
    document = encode_schema(schema)
    assert decode_schema(document) == schema
    assert schema_id(document) == schema.id
    assert schema.id != sled_schema(16).id
    assert schema.id != cdu_schema(2).id


def test_a_sled_schema_has_each_chip_metric_once_a_chip() -> None:
    columns = [c.part for c in sled_schema(4).columns if c.metric == "junction_c"]
    assert columns == [0, 1, 2, 3]


def test_a_metric_of_a_newer_build_is_noticed() -> None:
    newer = Schema(reporter=Reporter.SLED, columns=(Column("not_yet_invented_c", 0),), counters=())
    assert known(sled_schema(4))
    assert not known(newer)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"[]",
        b'{"reporter":"sled","columns":[["junction_c"]],"counters":[]}',
        b'{"reporter":"toaster","columns":[],"counters":[]}',
        msgspec.json.encode(
            {"reporter": "sled", "columns": [["x_c", i] for i in range(5000)], "counters": []}
        ),
    ],
)
def test_bad_schema_documents_are_refused(document: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        decode_schema(document)
