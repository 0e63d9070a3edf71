"""Where the Neuron runtime's bytes go, by the categories that its tools name."""

from dataclasses import dataclass
from typing import Final

_MIB: Final = 2**20
_GIB: Final = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeMemory:
    """Where the runtime's bytes go. Estimates."""

    host_dma_bytes: int = 32 * _MIB
    core_code_bytes: int = 384 * _MIB
    core_scratchpad_bytes: int = 1 * _GIB
    core_runtime_bytes: int = 64 * _MIB
    constants_ratio: float = 0.85
    """Weights, of what the three above leave; the rest is tensors."""

    def of_core(self, core_bytes: int) -> dict[str, int]:
        """Breakdown of one core's bytes; the parts sum up to them."""
        most = core_bytes // 4
        code = min(self.core_code_bytes, most)
        scratchpad = min(self.core_scratchpad_bytes, most)
        runtime = min(self.core_runtime_bytes, most)
        left = core_bytes - code - scratchpad - runtime
        constants = int(left * self.constants_ratio)
        return {
            "constants": constants,
            "model_code": code,
            "model_shared_scratchpad": scratchpad,
            "runtime_memory": runtime,
            "tensors": left - constants,
        }

    def of_host(self, host_bytes: int) -> dict[str, int]:
        """The same of a process' host memory."""
        dma = min(self.host_dma_bytes, host_bytes)
        return {"application_memory": host_bytes - dma, "dma_buffers": dma}
