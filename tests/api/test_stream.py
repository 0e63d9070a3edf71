import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.stream import ExpelledViewerError, Viewer, parse_painted

PLANE = {0: b"a" * 328, 1: b"b" * 328}


def viewer(max_unacked: int = 2) -> Viewer:
    return Viewer(max_unacked, lambda: None)


def test_a_viewer_that_never_reads_holds_one_message_of_each_subject() -> None:
    stalled = viewer()
    for tick in range(1, 10_001):
        stalled.offer_texts({"loop h1/loop01": f"tick {tick:05d}", "fleet": "x" * 50})
        stalled.offer_planes(tick, PLANE)
    assert stalled.held_bytes == len("tick 10000") + 50 + 2 * 328
    assert stalled.take()[0] == "tick 10000"


def test_planes_stop_after_two_unpainted_ticks_and_go_on_with_the_newest() -> None:
    slow = viewer()
    sent = []
    for tick in range(1, 6):
        slow.offer_planes(tick, {0: b"%d" % tick})
        sent += slow.take()
    assert sent == [b"1", b"2"]
    slow.acknowledge(2)
    assert slow.take() == [b"5"]


def test_texts_are_not_held_back_by_unpainted_planes() -> None:
    slow = viewer(max_unacked=1)
    slow.offer_planes(1, PLANE)
    slow.take()
    slow.offer_planes(2, PLANE)
    slow.offer_texts({"incidents": "new"})
    assert slow.take() == ["new"]


def test_replaced_planes_are_counted() -> None:
    slow = viewer()
    assert slow.offer_planes(1, PLANE) == 0
    assert slow.offer_planes(2, PLANE) == 2


def test_a_tick_that_was_never_sent_can_not_be_painted() -> None:
    early = viewer()
    early.offer_planes(7, PLANE)
    with pytest.raises(ExpelledViewerError, match="never sent"):
        early.acknowledge(7)


@given(text=st.text(max_size=60))
def test_garbage_is_a_reason_to_close_never_a_crash(text: str) -> None:
    with pytest.raises(ExpelledViewerError):
        parse_painted(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"ack"}',
        '{"type":"ack","tick":-1}',
        '{"type":"ack","tick":1.5}',
        '{"type":"ack","tick":1,"more":2}',
        '{"type":"hello","tick":1}',
        "[" * 2000,
        "\ud800",
    ],
)
def test_near_misses_are_refused(text: str) -> None:
    with pytest.raises(ExpelledViewerError):
        parse_painted(text)


def test_acknowledgement_is_read() -> None:
    assert parse_painted('{"type":"ack","tick":12}') == 12
