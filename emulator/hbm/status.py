"""How the Neuron runtime words an execution that memory errors ended."""

from enum import IntEnum


class NrtStatus(IntEnum):
    """As in the Neuron documentation, page nrt_status."""

    HBM_UNCORRECTED = 1201  # beyond repair: replace the chip
    SRAM_UNCORRECTED = 1202  # replace the chip
    HBM_REPAIRABLE = 1205  # reload the driver
