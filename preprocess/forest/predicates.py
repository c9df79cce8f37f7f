"""The distinct comparisons of a forest: each is made once for a row, however many nodes ask it."""

from dataclasses import dataclass

import numpy as np

from preprocess.forest.trees import Bools, Floats, Forest, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Predicates:
    """M comparisons, ordered by way of NaN, feature and threshold.

    `feature` int32 [M], `threshold` float32 [M], `nan_left` bool [M]: the row goes right where
    x[feature] >= threshold, and where x[feature] is NaN unless `nan_left`. `of_node` int32 [n]
    says which one a forest's inner node asks; it is 0 at leaves.
    """

    feature: Ints
    threshold: Floats
    nan_left: Bools
    of_node: Ints

    def __len__(self) -> int:
        return len(self.feature)


def predicates(forest: Forest) -> Predicates:
    """What the forest's nodes ask. Two nodes that differ in NaN's way alone ask two things.

    The two zeros are one threshold: x < 0.0 and x < -0.0 are the same for every x.
    """
    inner = np.flatnonzero(~forest.is_leaf)
    nan_left, feature = forest.nan_left[inner], forest.feature[inner]
    threshold = forest.threshold[inner] + np.float32(0.0)
    order = np.lexsort((threshold, feature, nan_left))
    nan_left, feature, threshold = nan_left[order], feature[order], threshold[order]
    is_first = np.ones(len(inner), dtype=np.bool_)
    is_first[1:] = (
        (nan_left[1:] != nan_left[:-1])
        | (feature[1:] != feature[:-1])
        | (threshold[1:] != threshold[:-1])
    )
    of_node = np.zeros(forest.size, dtype=np.int32)
    of_node[inner[order]] = np.cumsum(is_first) - 1
    return Predicates(feature[is_first], threshold[is_first], nan_left[is_first], of_node)
