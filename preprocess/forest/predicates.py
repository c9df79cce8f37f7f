"""The distinct comparisons of a forest: each is made once for a row, however many nodes ask it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.forest.trees import Floats, Forest, Ints

# What sends a row right: a number not below the threshold, with NaN or without; or NaN alone.
NAN_RIGHT, NAN_LEFT, NAN_ALONE = 0, 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class Predicates:
    """M comparisons, ordered by way of NaN, feature and threshold.

    `way` int8 [M], `feature` int32 [M], `threshold` float32 [M] say when a row goes right.
    `of_node` int32 [n] says which one a forest's inner node asks; it is 0 at leaves.
    """

    way: NDArray[np.int8]
    feature: Ints
    threshold: Floats
    of_node: Ints

    def __len__(self) -> int:
        return len(self.feature)


def predicates(forest: Forest) -> Predicates:
    """What the forest's nodes ask. Two nodes that differ in NaN's way alone ask two things.

    The two zeros are one threshold: x < 0.0 and x < -0.0 are the same for every x.
    """
    inner = np.flatnonzero(~forest.is_leaf)
    threshold = forest.threshold[inner] + np.float32(0.0)
    way = np.where(forest.nan_left[inner], NAN_LEFT, NAN_RIGHT)
    alone = np.isnan(threshold) & (way == NAN_RIGHT)
    way[alone], threshold[alone] = NAN_ALONE, 1.0
    feature = forest.feature[inner]
    order = np.lexsort((threshold, feature, way))
    way, feature, threshold = way[order], feature[order], threshold[order]
    bits = threshold.view(np.int32)  # a NaN that is left, where nothing goes right, equals itself
    is_first = np.ones(len(inner), dtype=np.bool_)
    is_first[1:] = (way[1:] != way[:-1]) | (feature[1:] != feature[:-1]) | (bits[1:] != bits[:-1])
    of_node = np.zeros(forest.size, dtype=np.int32)
    of_node[inner[order]] = np.cumsum(is_first) - 1
    return Predicates(
        way[is_first].astype(np.int8), feature[is_first], threshold[is_first], of_node
    )
