from collections.abc import Callable
from pathlib import Path
from typing import Self

from api.app import create_app
from api.client import ApiClient
from api.options import ApiOptions
from api.server import ApiServer
from controller.notify.deliver import DeliverySettings
from controller.options import ControllerOptions
from emulator.faults.fault import Fault
from emulator.faults.kinds import FaultKind
from emulator.options import EmulatorOptions
from fleet.clock import NS_PER_S, ManualClock, SystemClock
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.up.embedded import EmbeddedDatacenter, EmbeddedOptions

CATCH_UP_LOOKS = 2000
HEAD_START_S = 250
"""The reference library refuses deliveries that are 5 minutes away from the real time, so the story
starts in the past and ends in the future.
"""


class EmbeddedSite:
    """Everything in this process; a second passes when the test says so."""

    def __init__(self, state_dir: Path, fleet_map: FleetMap | None = None) -> None:
        self.clock = ManualClock(SystemClock().unix_ns() - HEAD_START_S * NS_PER_S)
        fleet_map = fleet_map or FleetMap(trn3_datacenter())
        options = EmbeddedOptions(
            state_dir=state_dir,
            emulator=EmulatorOptions(load_ratio=0.2),
            controller=ControllerOptions(delivery=DeliverySettings(allow_private_receivers=True)),
        )
        self.datacenter = EmbeddedDatacenter(options, fleet_map, self.clock)
        api = ApiOptions(port=0)
        app = create_app(api, fleet_map, self.datacenter.store, self.datacenter.bus, self.clock)
        self._server = ApiServer(app, api)

    def __enter__(self) -> Self:
        self._server.start()
        self.api = ApiClient(self._server.url)
        return self

    def __exit__(self, *_trouble: object) -> None:
        self.api.close()
        self._server.stop()
        self.datacenter.stop()
        self.datacenter.close()

    def tick(self) -> None:
        """One second, and the API has seen it."""
        self.clock.advance(1.0)
        self.datacenter.tick()
        self.datacenter.controller.deliverer.deliver_due()
        self._catch_up()

    def _catch_up(self) -> None:
        # The API follows the live topic on a thread of its own; it is asked until it has.
        for _ in range(CATCH_UP_LOOKS):
            if self.api.loops()[0]["age_s"] == 0.0:
                return
        raise AssertionError("the API does not follow the live topic")

    def until(self, happened: Callable[[], bool], what: str, timeout_s: float) -> None:
        for _ in range(round(timeout_s)):
            self.tick()
            if happened():
                return
        raise AssertionError(f"not within {timeout_s:.0f} s: {what}")

    def set_load(self, ratio: float) -> None:
        self.datacenter.world.load_ratio = ratio

    def inject(self, kind: str, place: str, severity: float) -> None:
        self.datacenter.world.inject(Fault(kind=FaultKind(kind), place=place, severity=severity))

    def clear(self, kind: str, place: str) -> None:
        self.datacenter.world.clear(FaultKind(kind), place)
