"""A command is a lease: no order of terms, expiries, restarts and silences gets a stale one in."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.commands import Outcome, SetCooling
from tests.agent.builders import CDU_ID, CduPlace, command

steps = st.lists(
    st.tuples(
        st.sampled_from(["command", "tick", "restart"]),
        st.integers(0, 5),  # term
        st.integers(-30, 80).map(lambda tenths: tenths / 10 + 0.05),  # lease, s
        st.integers(0, 60).map(lambda tenths: tenths / 10),  # s that pass before
    ),
    min_size=1,
    max_size=30,
)
WANTED = SetCooling(valve_ratio=0.5, pump_ratio=0.8, supply_c=38.0)


@settings(max_examples=30)
@given(steps)
def test_no_stale_command_is_ever_carried_out(story: list[tuple[str, int, float, float]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = CduPlace(Path(directory))
        agent = place.agent()
        highest, until_s = 0, -1.0
        for what, term, lease_s, pause_s in story:
            place.clock.advance(pause_s)
            now_s = place.clock.monotonic_s()
            if what == "restart":
                agent, until_s = place.agent(), -1.0
            elif what == "tick":
                agent.tick()
                assert agent.leased == (now_s < until_s)
                if not agent.leased:
                    assert place.bmc.mode == "Local"
            else:
                written = len(place.bmc.written)
                sent = command(WANTED, place.clock, target=CDU_ID, term=term, lease_s=lease_s)
                ack = agent.execute(sent)
                stale = term < highest or lease_s <= 0.0
                assert (ack.outcome is Outcome.APPLIED) is not stale
                assert (len(place.bmc.written) > written) is not stale
                if not stale:
                    highest, until_s = term, now_s + lease_s
