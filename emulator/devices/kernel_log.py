"""What the Neuron driver writes into the kernel log of a sled's host.

One line for each execution that an uncorrectable error ended, in the words of the AWS Neuron guide
to troubleshooting, with the time as `dmesg --time-format=iso` prints it. What a repairable HBM
error (1205) writes is not documented, so it writes nothing here: readers find it in sysfs.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from emulator.devices.host_names import instance_id
from emulator.devices.view import WorldView
from emulator.hbm.status import NrtStatus
from emulator.nitro import chip_serial
from emulator.readings import FailedExecution
from fleet.clock import NS_PER_S

_TOKENS: Final[Mapping[NrtStatus, str]] = {
    NrtStatus.HBM_UNCORRECTED: "HBM_UNCORRECTABLE_ERROR",
    NrtStatus.SRAM_UNCORRECTED: "SRAM_UNCORRECTABLE_ERROR",
}


class KernelLog:
    """The log of one sled. Which core was hit is not known to the world: `nc-id` is 0."""

    def __init__(self, world: WorldView, row: int) -> None:
        self._world = world
        self._row = row
        self._sled_id = world.fleet_map.sled_ids[row]

    def render(self) -> bytes:
        """Lines, oldest first; empty when nothing has gone wrong since the sled was switched on."""
        seen = self._world.sled_readings(self._row)
        board = seen.board or self._sled_id
        told = [error for error in seen.hardware_errors if error.status in _TOKENS]
        lines = [self._line(error, board) for error in told]
        return "".join(lines).encode()

    def _line(self, error: FailedExecution, board: str) -> str:
        seconds, rest_ns = divmod(error.at_unix_ns, NS_PER_S)
        at = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return (
            f"{at},{rest_ns // 1_000:06d}+00:00 neuron: NEURON_HW_ERR={_TOKENS[error.status]}"
            f" instance-id={instance_id(self._sled_id)}"
            f" hostname={self._sled_id.replace('/', '-')}"
            f" nd-id={error.chip} nc-id=0"
            f" serial-num={chip_serial(f'{board}/c{error.chip}')}"
            " action=TERMINATE_INSTANCE\n"
        )
