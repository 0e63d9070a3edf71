"""Which backend multiplies."""

from emulator.workload.backend import Backend, BackendName, DeviceName, NumpyBackend
from emulator.workload.torch_backend import TorchBackend
from fleet.errors import ConfigurationError


def backend_of(name: BackendName, device: DeviceName) -> Backend:
    """ConfigurationError when PyTorch or the device is not there, or the two do not go together."""
    if name is BackendName.TORCH:
        return TorchBackend(device)
    if device is not DeviceName.CPU:
        raise ConfigurationError(
            f"emulator option device = {device.value}: numpy runs on the cpu only; use torch"
        )
    return NumpyBackend()
