import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pagination import RowPosition, TimePosition, decode_cursor, encode_cursor
from api.problems import RefusedRequestError

QUERY = "/api/v1/jobs?state=running"


@given(at=st.integers(0, 2**63 - 1), job=st.from_regex(r"[!-~]{1,50}", fullmatch=True))
def test_a_cursor_brings_its_position_back(at: int, job: str) -> None:
    cursor = encode_cursor(QUERY, TimePosition(at, job))
    assert decode_cursor(cursor, QUERY, TimePosition) == TimePosition(at, job)


@given(text=st.text(max_size=80))
def test_a_made_up_cursor_is_refused(text: str) -> None:
    with pytest.raises(RefusedRequestError, match="cursor"):
        decode_cursor(text, QUERY, RowPosition)


def test_a_cursor_of_another_list_is_refused() -> None:
    cursor = encode_cursor("/api/v1/sleds?", RowPosition(4))
    with pytest.raises(RefusedRequestError, match="another list"):
        decode_cursor(cursor, "/api/v1/chips?", RowPosition)


def test_a_position_outside_the_database_integers_is_refused() -> None:
    cursor = encode_cursor(QUERY, TimePosition(2**63, "job-1"))
    with pytest.raises(RefusedRequestError):
        decode_cursor(cursor, QUERY, TimePosition)
