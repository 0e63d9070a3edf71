"""`neuron-ls -j` of a sled: its devices, what they are connected to, and who uses them."""

import msgspec

from emulator.devices.neuron_monitor import process_id
from emulator.devices.view import WorldView
from emulator.fabric import Fabric
from emulator.readings import SledReadings
from emulator.skus.fleet import settings_of_sled

RUNTIME_VERSION = "2.34.10"
"""An example of AWS' guide; the emulated runtime has no version of its own."""


class NeuronLs:
    """The tool on one sled. Field names follow the AWS Neuron guide to neuron-ls."""

    def __init__(self, world: WorldView, row: int, fabric: Fabric) -> None:
        self._world = world
        self._row = row
        fleet_map = world.fleet_map
        fanout = fleet_map.ultraservers[int(fleet_map.ultraserver_of_sled[row])].fanout
        self._chips = int(fleet_map.chips_of_sled[row])
        self._cores = fanout.logical_cores_per_chip
        self._per_logical = fanout.cores_per_logical
        settings = settings_of_sled(fleet_map, row)
        self._hbm_bytes = settings.chip.hbm_bytes
        self._vcpus = settings.sled.vcpus
        first = int(fleet_map.first_chip_of_sled[row])
        self._connected = [fabric.connected_to(first + chip) for chip in range(self._chips)]

    def render(self) -> bytes:
        seen = self._world.sled_readings(self._row)
        return msgspec.json.encode([self._device(chip, seen) for chip in range(self._chips)])

    def _device(self, chip: int, seen: SledReadings) -> dict[str, object]:
        share = max(self._vcpus // self._chips, 1)
        return {
            "neuron_device": chip,
            "bdf": f"{0xCC + chip // 8:02x}:{chip % 8:02x}.0",
            "cpu_affinity": f"{chip * share}-{(chip + 1) * share - 1}",
            "numa_node": str(chip * 2 // self._chips),
            # Null where the chips meet in switches only.
            "connected_to": list(self._connected[chip]) or None,
            "nc_count": self._cores,
            "logical_neuroncore_config": self._per_logical,
            "memory_size": self._hbm_bytes,
            "neuroncore_ids": list(range(chip * self._cores, (chip + 1) * self._cores)),
            "neuron_processes": [
                {
                    "pid": process_id(job),
                    "command": f"python serve.py --model {job.model}",
                    "neuron_runtime_version": RUNTIME_VERSION,
                }
                for job in seen.jobs
                if chip in job.chips
            ],
        }
