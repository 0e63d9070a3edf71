"""How the real products are executed."""

from collections.abc import Callable
from dataclasses import dataclass

from emulator.workload.backend import BackendName, DeviceName
from emulator.workload.choice import backend_of
from emulator.workload.number_type import NumberType
from fleet.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductOptions:
    """`validate` raises ConfigurationError naming the first field that can not be used."""

    backend: BackendName = BackendName.NUMPY
    device: DeviceName = DeviceName.CPU
    threads: int = 1
    """Host threads of one product."""
    precision: NumberType = NumberType.FP32
    """Of the operands; products accumulate in fp32."""
    real_chips_limit: int = 4_096
    """Chips that execute in one step; of more in use a rotating sample does, and the others' FLOP
    are those of their orders. Estimate: what two cores execute in a few seconds.
    """
    verify: bool = True
    """Check the row checksums of every product."""

    def validate(self) -> None:
        for name, ok, want in _CHECKS:
            value = getattr(self, name)
            if not ok(value):
                raise ConfigurationError(f"emulator option {name} = {value}: expected {want}")
        for name, kind in (
            ("backend", BackendName),
            ("device", DeviceName),
            ("precision", NumberType),
        ):
            value = getattr(self, name)
            if value not in tuple(kind):
                want = ", ".join(kind)
                raise ConfigurationError(f"emulator option {name} = {value}: expected {want}")
        backend_of(self.backend, self.device)


_CHECKS: tuple[tuple[str, Callable[[float], bool], str], ...] = (
    ("threads", lambda v: 1 <= v <= 256, "1 to 256"),
    ("real_chips_limit", lambda v: 1 <= v <= 10_000_000, "1 to 10,000,000"),
)
