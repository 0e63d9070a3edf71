"""What a sled's host shows besides the stream: `neuron-ls`, exporter, sysfs, log."""

from typing import Final
from urllib.parse import parse_qs

import msgspec

from emulator.devices.answer import Answer
from emulator.devices.kernel_log import KernelLog
from emulator.devices.neuron_ls import NeuronLs
from emulator.devices.neuron_metrics import CONTENT_TYPE, NeuronMetrics
from emulator.devices.neuron_monitor import NeuronMonitorSettings
from emulator.devices.neuron_sysfs import NeuronSysfs, SysfsLayout
from emulator.devices.view import WorldView
from emulator.fabric import Fabric
from emulator.faults.reach import check_answers

NAMES: Final = ("neuron-ls", "metrics", "sysfs", "kernel-log")


class SledHost:
    """`/neuron-ls`, `/metrics`, `/kernel-log`, `/sysfs` (all files as JSON), `/sysfs/PATH`: GET.

    `?layout=new` shows sysfs as it is since driver 2.31. 503 while the sled is off.
    """

    def __init__(
        self, world: WorldView, row: int, fabric: Fabric, monitor: NeuronMonitorSettings
    ) -> None:
        self._world = world
        self._row = row
        self._sled_id = world.fleet_map.sled_ids[row]
        self._ls = NeuronLs(world, row, fabric)
        self._metrics = NeuronMetrics(world, row, monitor)
        self.sysfs = NeuronSysfs(world, row, fabric, monitor.memory)
        self._log = KernelLog(world, row)

    def handle(self, method: str, target: str, body: bytes | None = None) -> Answer:  # noqa: ARG002 - the seam's shape
        """DeviceError while the sled is cut off."""
        seen = self._world.sled_readings(self._row)
        check_answers(self._sled_id, seen)
        if method not in {"GET", "HEAD"}:
            refused = _problem(405, f"{target} takes GET only")
            return Answer(status=405, body=refused.body, headers=(("Allow", "GET, HEAD"),))
        if not seen.powered:
            return _problem(503, f"{self._sled_id} is switched off")
        path, _, query = target.partition("?")
        match path.rstrip("/").split("/", maxsplit=2)[1:]:
            case ["neuron-ls"]:
                return Answer(status=200, body=self._ls.render())
            case ["metrics"]:
                return Answer(status=200, body=self._metrics.render(), content_type=CONTENT_TYPE)
            case ["kernel-log"]:
                return Answer(status=200, body=self._log.render(), content_type="text/plain")
            case ["sysfs", *rest]:
                return self._file(rest[0] if rest else "", query)
        return _problem(404, f"no resource at {target}")

    def _file(self, path: str, query: str) -> Answer:
        asked = parse_qs(query).get("layout", [SysfsLayout.OLD.value])[0]
        if asked not in set(SysfsLayout):
            return _problem(422, f"layout={asked} is not known; use {' or '.join(SysfsLayout)}")
        files = self.sysfs.files(SysfsLayout(asked))
        if not path:
            return Answer(status=200, body=msgspec.json.encode(files))
        if path not in files:
            return _problem(404, f"{self._sled_id} has no file {path} in the {asked} layout")
        return Answer(status=200, body=files[path].encode(), content_type="text/plain")


def _problem(status: int, detail: str) -> Answer:
    body = {"title": "Not available", "status": status, "detail": detail}
    return Answer(status=status, body=msgspec.json.encode(body))
