from dataclasses import dataclass

from api.options import ApiOptions
from fleet.kafka_options import read_kafka_options
from fleet.topology import FleetMap
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
    submit_jobs: bool

    def validate(self) -> None:
        """Raises ConfigurationError before anything is started."""
        self.embedded.emulator.validate()
        self.embedded.controller.validate(self.fleet_map)
        self.api.validate()
        if self.kafka:
            read_kafka_options(self.kafka)
