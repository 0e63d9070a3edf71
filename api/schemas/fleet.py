from pydantic import BaseModel, Field

from fleet.topology import FleetMap, UltraServer


class UltraServerOut(BaseModel):
    id: str = Field(examples=["h1/us01"])
    generation: str = Field(examples=["trn3-gen2"])
    loop_id: str = Field(examples=["h1/loop01"])
    racks: int = Field(examples=[2])
    sleds_per_rack: int = Field(examples=[18])
    chips_per_sled: int = Field(examples=[4])
    first_chip: int = Field(description="index of its first chip in the fleet", examples=[0])


class TotalsOut(BaseModel):
    """The fleet in one line; null where nothing fresh was heard."""

    power_w: float | None = Field(description="sum over the sleds", examples=[181234.0])
    heat_removed_w: float | None = Field(description="sum over the CDUs", examples=[179800.0])
    max_junction_c: float | None = Field(examples=[71.5])
    chips_busy: int = Field(description="chips that a job holds", examples=[128])
    chips_reporting: int = Field(description="chips of sleds with fresh telemetry", examples=[288])
    jobs_running: int
    jobs_pending: int
    incidents_open: int = Field(description="not resolved")


class FleetOut(BaseModel):
    hall: str = Field(examples=["h1"])
    epoch: int = Field(description="changes with the order of the chips")
    chips: int = Field(examples=[288])
    ultraservers: list[UltraServerOut]
    loops: list[str] = Field(examples=[["h1/loop01"]])
    totals: TotalsOut


def ultraservers_out(fleet_map: FleetMap) -> list[UltraServerOut]:
    return [_ultraserver_out(fleet_map, row, us) for row, us in enumerate(fleet_map.ultraservers)]


def _ultraserver_out(fleet_map: FleetMap, row: int, us: UltraServer) -> UltraServerOut:
    first_sled = fleet_map.sleds_in_ultraserver(row).start
    return UltraServerOut(
        id=us.id,
        generation=us.generation.value,
        loop_id=fleet_map.loop_ids[int(fleet_map.loop_of_sled[first_sled])],
        racks=us.fanout.racks,
        sleds_per_rack=us.fanout.sleds_per_rack,
        chips_per_sled=us.fanout.chips_per_sled,
        first_chip=int(fleet_map.first_chip_of_sled[first_sled]),
    )
