"""Mooncake JSON lines; the Azure side is in test_traffic.py."""

import gzip
import json
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.serving.trace import read_trace
from emulator.serving.traffic import Replay, TraceTraffic
from fleet.errors import ConfigurationError

REAL_TRACE = Path(__file__).parents[4] / "shared" / "data" / "mooncake_fast25_conversation.jsonl.gz"


def row(at_ms: float = 0, prompt: object = 1_200, output: object = 3, **more: object) -> str:
    ids: list[object] = [0, 1, 2]
    return json.dumps(
        {"timestamp": at_ms, "input_length": prompt, "output_length": output, "hash_ids": ids}
        | more
    )


def write(folder: Path, *lines: str) -> Path:
    path = folder / "trace.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_reads_plain_and_gzip_alike_and_keeps_whole_blocks(tmp_path: Path) -> None:
    plain = write(tmp_path, row(), row(1_500, 1_024, 7, hash_ids=[0, 9]))
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + plain.read_bytes()))

    for path in (plain, packed):
        table = read_trace(path)
        assert table.at_s.tolist() == [0.0, 1.5]
        assert table.prompt_tokens.tolist() == [1_200, 1_024]
        assert table.output_tokens.tolist() == [3, 7]
        # The third block of 1,200 tokens is not full, so nobody can share it.
        assert table.blocks == ((0, 1), (0, 9))
        assert table.warning(path) is None


def test_bad_rows_are_counted_with_their_lines_and_good_ones_kept(tmp_path: Path) -> None:
    bad = [
        "{",
        "nonsense",
        '{"timestamp": 1, "input_length": 5}',
        row(prompt="many"),
        row(prompt=True),
        row(prompt=0),
        row(output=-1),
        row(prompt=10**30),
        row(-5),
        row(hash_ids=[-1]),
        row(hash_ids=[10**40]),
        row(hash_ids=["a"]),
        row(hash_ids=None),
        row(hash_ids=[1, 2, 3, 4]),  # more blocks than the prompt has
        '{"timestamp": 1e999, "input_length": 5, "output_length": 5, "hash_ids": []}',
        '{"timestamp": ' + "9" * 5_000 + ', "input_length": 5, "output_length": 5, "hash_ids": []}',
    ]
    path = write(tmp_path, row(), *bad, "", row(2_000))

    table = read_trace(path)

    assert len(table.at_s) == 2
    assert table.skipped == len(bad)
    assert table.bad_lines == (2, 3, 4, 5, 6)
    warning = table.warning(path)
    assert warning is not None
    assert "16 bad rows (line 2, 3, 4, 5, 6, ...)" in warning


def test_time_that_runs_back_is_sorted_in(tmp_path: Path) -> None:
    table = read_trace(write(tmp_path, row(9_000, 900, hash_ids=[0]), row(1_000, 100, hash_ids=[])))

    assert table.at_s.tolist() == [0.0, 8.0]
    assert table.prompt_tokens.tolist() == [100, 900]
    assert table.blocks[1] == (0,)


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_a_configuration_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("trace") / "any"
    for start in (b"{", row().encode()[:-1], row().encode() + b"\n"):
        path.write_bytes(start + data)
        try:
            table = read_trace(path)
        except ConfigurationError:
            continue
        assert len(table.at_s) >= 1


@given(
    gaps=st.lists(st.integers(0, 5_000), min_size=1, max_size=30),
    spans=st.lists(st.floats(0.01, 20.0), max_size=20),
    speed_ratio=st.floats(0.1, 10.0),
)
def test_a_replay_brings_every_request_once_at_its_own_time(
    tmp_path_factory: pytest.TempPathFactory,
    gaps: list[int],
    spans: list[float],
    speed_ratio: float,
) -> None:
    at_ms = np.cumsum(gaps)
    lines = [row(int(at), 600 + place, hash_ids=[place]) for place, at in enumerate(at_ms)]
    table = read_trace(write(tmp_path_factory.mktemp("trace"), *lines))
    replay = Replay(table, speed_ratio=speed_ratio)

    now_s = 0.0
    times: list[float] = []
    prompts: list[int] = []
    blocks: list[tuple[int, ...]] = []
    for span_s in (*spans, 1e6):
        brought = replay.bring(span_s, 123.0)
        assert ((brought.offset_s >= 0.0) & (brought.offset_s <= span_s)).all()
        times += (brought.offset_s + now_s).tolist()
        prompts += brought.prompt_tokens.tolist()
        blocks += brought.blocks or ()
        now_s += span_s

    assert replay.ended
    assert prompts == table.prompt_tokens.tolist()
    assert tuple(blocks) == table.blocks
    assert np.allclose(times, table.at_s / speed_ratio)


def test_each_round_of_a_loop_has_prefixes_of_its_own(tmp_path: Path) -> None:
    table = read_trace(write(tmp_path, row(), row(1_000)))
    taken = TraceTraffic(table).take(8.0)

    assert taken.blocks is not None
    assert taken.blocks[0] == taken.blocks[1]
    assert set(taken.blocks[1]).isdisjoint(taken.blocks[2])


def test_the_public_trace_when_it_is_here() -> None:
    if not REAL_TRACE.is_file():
        pytest.skip(f"{REAL_TRACE} is not here")
    table = read_trace(REAL_TRACE)

    assert table.skipped == 0
    assert len(table.at_s) == 12_031
    assert max(chain.from_iterable(table.blocks)) < 182_790
