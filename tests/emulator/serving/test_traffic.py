import gzip
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.serving.trace import TraceTable, read_trace
from emulator.serving.traffic import GeneratedTraffic, TraceTraffic, draw
from fleet.errors import ConfigurationError

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"
GOOD = [
    "2023-11-16 18:15:46.6805900,374,44",
    "2023-11-16 18:15:50.9951690,396,109",
    "2023-11-16 18:15:51.2224670,879,55",
]
REAL_TRACE = Path(__file__).parents[4] / "shared" / "data" / "azure_llm_2023_conv_first_half.csv.gz"


def write(folder: Path, *lines: str, name: str = "trace.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_generated_requests_have_the_published_statistics() -> None:
    drawn = GeneratedTraffic(np.random.default_rng(7)).take(20_000.0)
    prompt, output, gaps = drawn.prompt_tokens, drawn.output_tokens, np.diff(drawn.offset_s)

    assert len(prompt) / 20_000.0 == pytest.approx(5.53, rel=0.02)
    assert prompt.mean() == pytest.approx(1_155, rel=0.03)
    assert np.median(prompt) == pytest.approx(1_020, rel=0.02)
    assert np.percentile(prompt, 99) == pytest.approx(4_142, rel=0.03)
    assert 10_000 < prompt.max() <= 14_050
    assert output.mean() == pytest.approx(211, rel=0.03)
    assert np.median(output) == pytest.approx(129, rel=0.05)
    assert np.percentile(output, 99) == pytest.approx(601, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(1.09, rel=0.03)


def test_generated_means_are_what_the_stream_says_of_itself() -> None:
    traffic = GeneratedTraffic(np.random.default_rng(7))
    drawn = traffic.take(20_000.0)

    assert drawn.prompt_tokens.mean() == pytest.approx(traffic.mean_prompt_tokens, rel=0.02)
    assert drawn.output_tokens.mean() == pytest.approx(traffic.mean_output_tokens, rel=0.02)


def test_many_short_takes_bring_as_many_requests_as_one_long_one() -> None:
    traffic = GeneratedTraffic(np.random.default_rng(3))
    counted = sum(len(traffic.take(0.5).offset_s) for _ in range(8_000))

    assert counted / 4_000.0 == pytest.approx(5.53, rel=0.04)


def test_draw_scales_time_to_the_wanted_rate() -> None:
    traffic = GeneratedTraffic(np.random.default_rng(3))

    drawn = draw(traffic, rate_per_s=1_000.0, span_s=10.0)

    assert len(drawn.offset_s) == pytest.approx(10_000, rel=0.05)
    assert drawn.offset_s.max() <= 10.0
    assert (np.diff(drawn.offset_s) >= 0.0).all()


def test_no_rate_brings_no_request() -> None:
    traffic = GeneratedTraffic(np.random.default_rng(3))

    assert len(draw(traffic, rate_per_s=0.0, span_s=10.0).offset_s) == 0


def test_reads_plain_and_gzip_alike_whatever_the_suffix(tmp_path: Path) -> None:
    plain = write(tmp_path, HEADER, *GOOD)
    packed = tmp_path / "packed.csv"
    packed.write_bytes(gzip.compress(plain.read_bytes()))

    for path in (plain, packed):
        table = read_trace(path)
        assert table.at_s.tolist() == pytest.approx([0.0, 4.314579, 4.541877])
        assert table.prompt_tokens.tolist() == [374, 396, 879]
        assert table.output_tokens.tolist() == [44, 109, 55]
        assert table.warning(path) is None


def test_bad_rows_are_counted_with_their_lines_and_good_ones_kept(tmp_path: Path) -> None:
    bad = [
        "yesterday,1,2",
        "2023-11-16 18:15:52.0,many,2",
        "2023-11-16 18:15:52.0,1",
        "2023-11-16 18:15:52.0,0,2",
        "2023-11-16 18:15:52.0,1,-2",
        "2023-11-16 18:15:52.0,1,2,3",
        "2023-11-16 18:15:52.0,99999999,2",
        "2023-11-16 18:15:52.0,\0,2",
    ]
    path = write(tmp_path, HEADER, GOOD[0], *bad, "", *GOOD[1:])

    table = read_trace(path)

    assert len(table.at_s) == len(GOOD)
    assert table.skipped == len(bad)
    assert table.bad_lines == (3, 4, 5, 6, 7)
    warning = table.warning(path)
    assert warning is not None
    assert "8 bad rows (line 3, 4, 5, 6, 7, ...)" in warning


def test_rows_out_of_order_are_sorted_in(tmp_path: Path) -> None:
    table = read_trace(write(tmp_path, HEADER, *reversed(GOOD)))

    assert table.prompt_tokens.tolist() == [374, 396, 879]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((), "the first line must be"),
        (("a,b,c", *GOOD), "the first line must be"),
        ((HEADER,), "no valid row"),
        ((HEADER, "x,y,z"), "no valid row; 1 bad"),
    ],
)
def test_a_file_without_use_is_a_configuration_error(
    tmp_path: Path, lines: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_trace(write(tmp_path, *lines))


def test_a_truncated_gzip_is_a_configuration_error(tmp_path: Path) -> None:
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress("\n".join([HEADER, *GOOD * 500]).encode())[:200])

    with pytest.raises(ConfigurationError, match="can not be read as a trace"):
        read_trace(path)


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_a_configuration_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("trace") / "any.csv"
    for start in (b"", HEADER.encode() + b"\n", b"\x1f\x8b"):
        path.write_bytes(start + data)
        try:
            table = read_trace(path)
        except ConfigurationError:
            continue
        assert len(table.at_s) >= 1


@given(
    gaps=st.lists(st.floats(0.5, 50.0), min_size=1, max_size=30),
    spans=st.lists(st.floats(0.0, 200.0), min_size=1, max_size=20),
    start=st.floats(0.0, 1.0),
)
def test_a_looped_trace_loses_and_repeats_nothing(
    gaps: list[float], spans: list[float], start: float
) -> None:
    at = np.cumsum(gaps)
    table = TraceTable(
        at_s=at - at[0],
        prompt_tokens=np.arange(1, len(at) + 1),
        output_tokens=np.ones(len(at), dtype=np.int64),
        skipped=0,
        bad_lines=(),
    )
    traffic = TraceTraffic(table, start_ratio=start)

    taken = [traffic.take(span) for span in spans]

    serials = np.concatenate([part.prompt_tokens for part in taken]).tolist()
    order = table.prompt_tokens.tolist()
    following = dict(zip(order, order[1:] + order[:1], strict=True))
    assert all(following[before] == after for before, after in pairwise(serials))


def test_the_public_trace_when_it_is_here() -> None:
    if not REAL_TRACE.is_file():
        pytest.skip(f"{REAL_TRACE} is not here")
    table = read_trace(REAL_TRACE)

    assert table.skipped == 0
    assert len(table.at_s) == 9_739
    assert TraceTraffic(table).mean_rate_per_s == pytest.approx(5.56, rel=0.01)
