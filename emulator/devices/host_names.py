"""What tools and logs call a sled's host and its devices."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

from fleet.topology import Fanout


class DeviceNames(NamedTuple):
    """There is no such instance type: nobody shall take the emulated for the real."""

    device_version: str
    core_version: str
    """Of a logical core that joins two: with a `d`."""
    instance_type: str


_NAMES: Final[Mapping[str, DeviceNames]] = {
    "trainium": DeviceNames("v2", "v2", "trn1.emulated"),
    "trainium2": DeviceNames("v4", "v3d", "trn2.emulated"),
    # Not documented; continued from trainium2.
    "trainium3": DeviceNames("v4", "v4d", "trn3.emulated"),
}
"""By `neuron_device_type`. Source: examples of the AWS Neuron guide to neuron-monitor (trainium2)
and a report of a trn1.2xlarge."""


def device_names(fanout: Fanout) -> DeviceNames:
    """Empty versions where no Neuron device is."""
    unknown = DeviceNames("", "", f"{fanout.device_type}.emulated")
    return _NAMES.get(fanout.device_type, unknown)


def instance_id(sled_id: str) -> str:
    """The same for a sled for ever."""
    return f"i-0{blake2b(sled_id.encode(), digest_size=8).hexdigest()}"
