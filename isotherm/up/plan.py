from dataclasses import dataclass

from api.options import ApiOptions
from fleet.errors import ConfigurationError
from fleet.kafka_options import read_kafka_options
from fleet.topology import FleetMap
from isotherm.up.demo import DemoJob
from isotherm.up.embedded import EmbeddedOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class UpPlan:
    """What `isotherm up` was asked for. `kafka` empty: all in this process."""

    fleet_map: FleetMap
    loops: int
    ultraservers: int
    embedded: EmbeddedOptions
    api: ApiOptions
    emulator_port: int
    kafka: str
    database: str
    scenario: str = ""
    """As it was named; what it says is in `embedded`."""
    jobs: tuple[DemoJob, ...]
    """Submitted at their times, where there are none at all."""

    def validate(self) -> None:
        """Raises ConfigurationError before anything is started."""
        self.embedded.emulator.validate()
        self.embedded.controller.validate(self.fleet_map)
        self.api.validate()
        if self.embedded.scenario is not None and self.embedded.replay is not None:
            raise ConfigurationError("--scenario or --replay: give one of them")
        if self.kafka:
            read_kafka_options(self.kafka)
