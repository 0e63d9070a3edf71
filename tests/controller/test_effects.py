from hypothesis import given
from hypothesis import strategies as st

from controller.effects import share_ack
from controller.placement.share import ShareAction
from fleet.commands import Ack, Outcome


def make_ack(command_id: str) -> Ack:
    return Ack(
        command_id=command_id,
        target="h1/us01/r1/s01",
        term=3,
        seq=9,
        outcome=Outcome.APPLIED,
        detail="",
        at_unix_ns=1,
    )


def test_the_id_of_a_command_says_whose_share_was_answered() -> None:
    answer = share_ack(make_ack("3.9:start:2:team:a/job-1"))
    assert answer is not None
    assert (answer.action, answer.attempt, answer.job_id) == (
        ShareAction.START,
        2,
        "team:a/job-1",
    )
    assert answer.sled_id == "h1/us01/r1/s01"


def test_other_answers_are_of_no_share() -> None:
    assert share_ack(make_ack("3.9:cool")) is None
    assert share_ack(make_ack(f"3.9:start:{'9' * 5000}:job-1")) is None


@given(st.text())
def test_any_id_is_survived(command_id: str) -> None:
    answer = share_ack(make_ack(command_id))
    assert answer is None or answer.attempt >= 0
