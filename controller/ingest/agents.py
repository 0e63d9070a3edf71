from fleet.topology import FleetMap


def loop_of_agents(fleet_map: FleetMap) -> dict[str, str]:
    """Agent id (of a sled or a CDU) -> id of the cooling loop it belongs to."""
    owners = dict(zip(fleet_map.cdu_ids, fleet_map.loop_ids, strict=True))
    for sled, loop in zip(fleet_map.sled_ids, fleet_map.loop_of_sled, strict=True):
        owners[sled] = fleet_map.loop_ids[int(loop)]
    return owners
