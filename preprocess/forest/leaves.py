"""Leaves as int8 numbers: each tree has a scale and an offset of its own."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from preprocess.forest.trees import Floats

_STEPS = 255


@dataclass(frozen=True, eq=False)
class Int8Leaves:
    """`codes` int8 [L, T] stand for codes * `scale` [T] + a number per tree.

    Those numbers are added up once, in double: `offset`.
    """

    codes: NDArray[np.int8]
    scale: Floats
    offset: float

    @cached_property
    def largest_error(self) -> float:
        """How far rounding the leaves can take a row's margin: half a step in every tree."""
        return float(self.scale.astype(np.float64).sum() / 2.0)


def int8_leaves(leaves: Floats) -> Int8Leaves:
    """Round leaves [L, T] to 256 steps between the least and the greatest of their tree."""
    wide = leaves.astype(np.float64)
    least, greatest = wide.min(axis=0), wide.max(axis=0)
    scale = ((greatest - least) / _STEPS).astype(np.float32)
    step = np.where(scale > 0.0, scale, 1.0).astype(np.float64)
    codes = np.clip(np.rint((wide - least) / step), 0, _STEPS) - 128
    offset = (least + 128 * scale.astype(np.float64)).sum()
    return Int8Leaves(codes.astype(np.int8), scale, float(offset))
