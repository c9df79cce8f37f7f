"""Trees padded to perfect ones, so that the child of a node is found by arithmetic."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.forest.trees import Floats, Forest, Ints


@dataclass(frozen=True, slots=True, eq=False)
class PerfectTrees:
    """T trees of depth D. `levels[d]` int32 [2**d, T] says what the nodes ask.

    `leaves` float32 [2**D, T]. The children of place i are 2i and 2i + 1 of the next level. Below
    a leaf every place of the last level has that leaf's value, so what is asked there is all one.
    """

    levels: tuple[Ints, ...]
    leaves: Floats


def perfect_trees(forest: Forest, asked: Ints) -> PerfectTrees:
    """Pad each tree to the depth of the deepest, at least 1.

    `asked` int32 [n] says what each node asks; what it says of leaves is asked below them.
    """
    here: NDArray[np.int32] = np.arange(forest.size, dtype=np.int32)
    left = np.where(forest.is_leaf, here, forest.left)
    right = np.where(forest.is_leaf, here, forest.right)
    nodes = forest.roots[None, :]
    levels = []
    for _ in range(max(1, forest.depth)):
        levels.append(asked[nodes])
        nodes = np.stack([left[nodes], right[nodes]], axis=1).reshape(-1, forest.trees)
    return PerfectTrees(tuple(levels), forest.value[nodes])
