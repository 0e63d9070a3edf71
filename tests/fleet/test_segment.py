from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.segment import Segment


def filled(directory: Path, payloads: list[bytes]) -> Path:
    segment = Segment.create(directory, 7)
    for number, payload in enumerate(payloads):
        segment.append(7 + number, 1000 + number, payload)
    segment.close()
    return segment.path


def scanned(path: Path) -> tuple[list[tuple[int, int, bytes | None]], int]:
    [segment] = Segment.all_in(path.parent)
    found = [(s.index, s.at_unix_ns, segment.read(s)) for s in segment.scan()]
    torn = segment.cut_tail()
    segment.close()
    return found, torn


def test_records_come_back_with_index_and_time(tmp_path: Path) -> None:
    path = filled(tmp_path, [b"one", b"", b"three"])
    assert scanned(path) == ([(7, 1000, b"one"), (8, 1001, b""), (9, 1002, b"three")], 0)


@given(
    payloads=st.lists(st.binary(max_size=30), min_size=1, max_size=5),
    cut=st.integers(min_value=0, max_value=200),
    noise=st.binary(max_size=40),
)
def test_only_whole_records_come_back_and_the_rest_is_cut(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], cut: int, noise: bytes
) -> None:
    path = filled(tmp_path_factory.mktemp("segment"), payloads)
    whole = path.read_bytes()
    kept = whole[: max(len(whole) - cut, 0)]
    path.write_bytes(kept + noise)
    found, _ = scanned(path)
    assert [payload for _, _, payload in found] == payloads[: len(found)]
    assert sum(24 + len(payload or b"") for _, _, payload in found) == path.stat().st_size
    if cut == 0:
        assert len(found) == len(payloads)
    assert scanned(path) == (found, 0)


@given(place=st.integers(0, 80), flip=st.integers(1, 255))
def test_a_flipped_bit_never_gives_another_payload(
    tmp_path_factory: pytest.TempPathFactory, place: int, flip: int
) -> None:
    payloads = [b"first", b"second", b"third"]
    path = filled(tmp_path_factory.mktemp("segment"), payloads)
    data = bytearray(path.read_bytes())
    data[place] ^= flip
    path.write_bytes(bytes(data))
    found, torn = scanned(path)
    assert [payload for _, _, payload in found] == payloads[: len(found)]
    assert (len(found) < 3) == (torn > 0)
