"""The emulated data center, end to end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.datacenter.embedded_site import EmbeddedSite
from tests.datacenter.site import Receiver
from tests.datacenter.story import tell


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def test_the_whole_loop_in_one_process_on_a_clock_moved_by_hand(
    tmp_path: Path, receiver: Receiver
) -> None:
    with EmbeddedSite(tmp_path) as site:
        tell(site, receiver)
