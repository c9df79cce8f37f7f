"""Trees padded to perfect ones: the tables of a walk as they stand in memory."""

from dataclasses import dataclass

import numpy as np

from preprocess.forest.graph import GraphWriter
from preprocess.forest.trees import Floats, Forest, Ints


@dataclass(frozen=True, slots=True, eq=False)
class PaddedTrees:
    """T trees of depth D. `tables[d]` int32 [2**d, T]: what the nodes of level d ask.

    `leaves` float32 [2**D, T]. The children of place i are 2i and 2i + 1 of the next level. Below
    a leaf every place of the last level has that leaf's value, so what is asked there is all one.
    """

    tables: tuple[Ints, ...]
    leaves: Floats

    def written(self, writer: GraphWriter) -> tuple[str, ...]:
        """The tables as constants; their names."""
        return tuple(
            writer.constant(f"table_{depth}", table) for depth, table in enumerate(self.tables)
        )


def padded_trees(forest: Forest, asked: Ints) -> PaddedTrees:
    """Pad each tree to the depth of the deepest, at least 1; `asked` int32 [n] is by node."""
    here = np.arange(forest.size, dtype=np.int32)
    left = np.where(forest.is_leaf, here, forest.left)
    right = np.where(forest.is_leaf, here, forest.right)
    nodes = forest.roots[None, :]
    tables = []
    for _ in range(max(1, forest.depth)):
        tables.append(asked[nodes])
        nodes = np.stack([left[nodes], right[nodes]], axis=1).reshape(-1, forest.trees)
    return PaddedTrees(tuple(tables), forest.value[nodes])
