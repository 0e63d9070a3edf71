from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.store import Store
from fleet.bus import InMemoryBus
from fleet.clock import ManualClock
from fleet.topology import FleetMap, trn3_datacenter


@pytest.fixture(scope="package")
def fleet_map() -> FleetMap:
    return FleetMap(trn3_datacenter(loops=2, ultraservers=1))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def bus() -> InMemoryBus:
    return InMemoryBus()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path}/isotherm.db")
    yield opened
    opened.close()
