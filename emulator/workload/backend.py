"""What multiplies: numpy on the host, or PyTorch on the host or a CUDA device."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

import numpy as np
from threadpoolctl import ThreadpoolController

from emulator.workload import checksums
from emulator.workload.number_type import Matrix, NumberType, rounded

Tensor: TypeAlias = Any
"""An fp32 array of the backend: sliced, assigned to and multiplied in place as numpy's are."""


class BackendName(StrEnum):
    NUMPY = "numpy"  # the host's BLAS
    TORCH = "torch"  # PyTorch, an optional extra


class DeviceName(StrEnum):
    CPU = "cpu"  # the host
    CUDA = "cuda"  # the first CUDA device, PyTorch only


class Backend(Protocol):
    """Dense fp32 arithmetic. `out` may be a strided view; nothing is allocated for results."""

    matmul: Callable[..., object]
    """(left, right, out=): accumulates in fp32; `right` is a matrix or a vector."""
    row_dots: Callable[..., object]
    """(left, right, out=): scalar product of each row of the one with that of the other."""

    def put(self, values: Matrix) -> Tensor:
        """On the device; the values are no longer the caller's."""

    def host(self, tensor: Tensor) -> Matrix:
        """A copy on the host; waits for the device."""

    def round_to(self, values: Tensor, precision: NumberType) -> None:
        """In place, to the nearest values of the type."""

    def total(self, values: Tensor) -> float:
        """Waits for the device."""

    def take_checksums(
        self, block: Tensor, signs: Tensor, notes: Tensor, start: int, carried: bool
    ) -> None:
        """As `checksums.take`, on the device."""

    def threads(self, count: int) -> AbstractContextManager[object]:
        """How many host threads a product takes."""


class NumpyBackend:
    """The host's BLAS through numpy."""

    def __init__(self) -> None:
        self._blas = ThreadpoolController()
        self.matmul: Callable[..., object] = np.matmul
        self.row_dots: Callable[..., object] = np.vecdot

    def put(self, values: Matrix) -> Tensor:
        return np.ascontiguousarray(values, dtype=np.float32)

    def host(self, tensor: Tensor) -> Matrix:
        return np.array(tensor, dtype=np.float32)

    def round_to(self, values: Tensor, precision: NumberType) -> None:
        values[:] = rounded(values, precision)

    def total(self, values: Tensor) -> float:
        return float(np.add.reduce(values))

    def take_checksums(
        self, block: Tensor, signs: Tensor, notes: Tensor, start: int, carried: bool
    ) -> None:
        checksums.take(block, signs, notes, start, carried)

    def threads(self, count: int) -> AbstractContextManager[object]:
        limit: AbstractContextManager[object] = self._blas.limit(limits=count, user_api="blas")
        return limit
