"""Names for the array types that cross this package's borders."""

from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
IntArray: TypeAlias = npt.NDArray[np.integer[Any]]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

Number = TypeVar("Number", float, FloatArray)
"""One value, or an array of them: what goes in is what comes out."""
