"""A hall written down is the same hall, and a slip of the pen is one line."""

from pathlib import Path

import pytest

from fleet.errors import ConfigurationError
from fleet.hall import fleet_of, read_hall, write_hall
from fleet.topology import Generation, LoopKind, LoopPlan, mixed_datacenter, trn3_datacenter

MIXED = mixed_datacenter(
    [
        LoopPlan(
            kind=LoopKind.LIQUID_TO_AIR,
            ultraservers={Generation.TRN3_GEN2: 1, Generation.CS3: 2},
        ),
        LoopPlan(kind=LoopKind.AIR, ultraservers={Generation.TRN2_ULTRASERVER: 2}),
    ],
    hall="h7",
)
LOOP = '{"id": "h1/loop01", "cdu_id": "h1/cdu01", "kind": "%s", "ultraservers": [%s]}'


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write_hall(tmp_path / "var" / "hall.json", MIXED)
    assert read_hall(path) == MIXED
    assert fleet_of(path, loops=1, ultraservers=2).datacenter == MIXED


def test_without_a_document_it_is_a_hall_of_one_kind() -> None:
    expected = trn3_datacenter(loops=3, ultraservers=1)
    assert fleet_of(None, loops=3, ultraservers=1).datacenter == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "truncated"),
        ('{"hall": "h1"}', "loops"),
        ('{"hall": "h1", "loops": []}', "no loop"),
        ('{"hall": "h1", "loops": [], "loop": 1}', "unknown field `loop`"),
        (f'{{"hall": "h1", "loops": [{LOOP % ("gas", "")}]}}', "gas"),
        (f'{{"hall": "h1", "loops": [{LOOP % ("air", "")}]}}', "h1/loop01 has nothing to cool"),
        (
            f'{{"hall": "h1", "loops": [{LOOP % ("air", """["h1/us01", "trn3-gen2"]""")}]}}',
            r"h1/loop01 \(air\) can not cool h1/us01",
        ),
        (
            '{"hall": "h1", "loops": [%s, %s]}'
            % ((LOOP % ("liquid-to-liquid", '["h1/us01", "cs3"]'),) * 2),
            "is there twice",
        ),
        ("\udcff", "utf-8|invalid"),
    ],
)
def test_what_is_no_hall_is_one_line_with_the_file(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "hall.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigurationError, match=words) as caught:
        read_hall(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_hall(tmp_path / "hall.json")
