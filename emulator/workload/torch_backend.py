"""PyTorch as a backend: an optional extra, looked for only when it is asked for."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from emulator.workload.backend import DeviceName, Tensor
from emulator.workload.number_type import FP8_LARGEST, Matrix, NumberType
from fleet.errors import ConfigurationError


def _torch() -> Any:
    try:
        return import_module("torch")
    except ImportError as error:
        raise ConfigurationError(
            f"emulator option backend = torch: PyTorch can not be imported ({error}); "
            "pip install 'isotherm[torch]', or use numpy"
        ) from error


class TorchBackend:
    """ConfigurationError without PyTorch, or for CUDA where it sees no such device."""

    def __init__(self, device: DeviceName) -> None:
        self._torch = _torch()
        if device is DeviceName.CUDA and not self._torch.cuda.is_available():
            raise ConfigurationError(
                "emulator option device = cuda: PyTorch sees no CUDA device; use cpu"
            )
        self._device = self._torch.device(device.value)
        self.matmul: Callable[..., object] = self._torch.matmul
        self.row_dots: Callable[..., object] = self._torch.linalg.vecdot

    def take_checksums(
        self, block: Tensor, signs: Tensor, notes: Tensor, start: int, carried: bool
    ) -> None:
        columns, end = len(signs), start + len(block)
        values = block[:, :columns]
        self.matmul(values, signs, out=notes[0, start:end])
        self.row_dots(values, values, out=notes[1, start:end])
        if carried:
            notes[2:, start:end] = block[:, columns:].T

    def put(self, values: Matrix) -> Tensor:
        return self._torch.tensor(values, dtype=self._torch.float32, device=self._device)

    def host(self, tensor: Tensor) -> Matrix:
        return np.array(tensor.cpu().numpy(), dtype=np.float32)

    def round_to(self, values: Tensor, precision: NumberType) -> None:
        match precision:
            case NumberType.FP32:
                return
            case NumberType.BF16:
                values.copy_(values.to(self._torch.bfloat16))
            case NumberType.FP8:
                kept = values.clamp(-FP8_LARGEST, FP8_LARGEST)
                values.copy_(kept.to(self._torch.float8_e4m3fn))

    def total(self, values: Tensor) -> float:
        return float(values.sum())

    @contextmanager
    def _limited(self, count: int) -> Iterator[None]:
        before = self._torch.get_num_threads()
        # TF32 has 11 bits of significand, too few for the tolerance of an fp32 product.
        precision = self._torch.get_float32_matmul_precision()
        self._torch.set_num_threads(count)
        self._torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            self._torch.set_num_threads(before)
            self._torch.set_float32_matmul_precision(precision)

    def threads(self, count: int) -> AbstractContextManager[object]:
        return self._limited(count)
