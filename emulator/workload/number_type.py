"""Number types of the operands. Products always accumulate in fp32, as tensor engines do."""

from enum import StrEnum
from typing import Final

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

FP32_ROUNDOFF: Final = 2.0**-24
"""Unit roundoff of fp32, in which all sums are formed."""

FP8_LARGEST: Final = 448.0
"""Largest finite e4m3; larger values saturate (OCP 8-bit floating point specification 1.0)."""


class NumberType(StrEnum):
    FP32 = "fp32"  # operands as they are
    BF16 = "bf16"  # 8 bits of significand
    FP8 = "fp8"  # e4m3: 4 bits of significand

    @property
    def roundoff(self) -> float:
        """Unit roundoff of an operand of this type, relative to it."""
        return {"fp32": FP32_ROUNDOFF, "bf16": 2.0**-8, "fp8": 2.0**-4}[self.value]


def rounded(values: Matrix, precision: NumberType) -> Matrix:
    """Nearest values of the type, ties to even, in an fp32 array; the input where it is fp32."""
    match precision:
        case NumberType.FP32:
            return values
        case NumberType.BF16:
            return values.astype(ml_dtypes.bfloat16).astype(np.float32)
        case NumberType.FP8:
            kept = np.clip(values, -FP8_LARGEST, FP8_LARGEST)
            return kept.astype(ml_dtypes.float8_e4m3fn).astype(np.float32)


def flip_bit(value: float, bit: int, precision: NumberType) -> float:
    """`value`, which is one of the type, with one bit of its encoding inverted (0: lowest)."""
    number, integer = {
        NumberType.FP32: (np.dtype(np.float32), np.uint32),
        NumberType.BF16: (np.dtype(ml_dtypes.bfloat16), np.uint16),
        NumberType.FP8: (np.dtype(ml_dtypes.float8_e4m3fn), np.uint8),
    }[precision]
    encoded = np.array([value], dtype=np.float32).astype(number).view(integer)
    encoded ^= integer(1 << bit)
    return float(encoded.view(number).astype(np.float32)[0])


def bits_of(precision: NumberType) -> int:
    return {NumberType.FP32: 32, NumberType.BF16: 16, NumberType.FP8: 8}[precision]
