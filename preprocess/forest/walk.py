"""The walk: all trees of all rows go down one level at a time, by arithmetic and table look-ups.

At level d a row is at index i of each tree. Table d names the comparison of the node there, the
row's answer is 0 (left) or 1 (right), and the next index is 2i + answer. Nothing branches, so
nothing is mispredicted, and every operator works on one array of rows x trees. Below a leaf the
tables name any comparison: whatever the answer, the index stays among those of the leaf.
"""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from preprocess.forest.graph import GraphWriter
from preprocess.forest.trees import Floats, Forest, Ints


@dataclass(frozen=True, slots=True, eq=False)
class PaddedTrees:
    """T trees of depth D. `tables[d]` int32 [2**d, T]: comparisons of level d.

    `leaves` float32 [2**D, T]. The children of index i are 2i and 2i + 1 of the next level. Below
    a leaf every index of the last level has that leaf's value, so comparisons there don't matter.
    """

    tables: tuple[Ints, ...]
    leaves: Floats

    def written(self, writer: GraphWriter) -> tuple[str, ...]:
        """Write the tables as constants; returns their names."""
        return tuple(
            writer.constant(f"table_{depth}", table) for depth, table in enumerate(self.tables)
        )


def padded_trees(forest: Forest, comparison: Ints) -> PaddedTrees:
    """Pad each tree to the depth of the deepest, at least 1; `comparison` int32 [n] is by node."""
    here = np.arange(forest.size, dtype=np.int32)
    left = np.where(forest.is_leaf, here, forest.left)
    right = np.where(forest.is_leaf, here, forest.right)
    nodes = forest.roots[None, :]
    tables = []
    for _ in range(max(1, forest.depth)):
        tables.append(comparison[nodes])
        nodes = np.stack([left[nodes], right[nodes]], axis=1).reshape(-1, forest.trees)
    return PaddedTrees(tuple(tables), forest.value[nodes])


def walk(writer: GraphWriter, answers: str, tables: tuple[str, ...], first: str) -> str:
    """Each row's index among the leaves of each tree, int32 [N, T].

    `answers` uint8 [N, M] are those of the row, `tables` the names of int32 [2**d, T], `first`
    uint8 [N, T] the answers at the roots.
    """
    index = writer.add("Cast", [first], to=TensorProto.INT32)
    for table in tables[1:]:
        comparison = writer.add("GatherElements", [table, index], axis=0)
        answer = writer.add("GatherElements", [answers, comparison], axis=1)
        answer = writer.add("Cast", [answer], to=TensorProto.INT32)
        index = writer.add("Add", [writer.add("Add", [index, index]), answer])
    return index


def first_answers(writer: GraphWriter, answers: str, table: str) -> str:
    """The answers uint8 [N, T] at the roots, from `table` int32 [1, T]; fast on a CPU."""
    rows = writer.add("Shape", [answers], start=0, end=1)
    trees = writer.add("Shape", [table], start=1, end=2)
    comparison = writer.add("Expand", [table, writer.add("Concat", [rows, trees], axis=0)])
    return writer.add("GatherElements", [answers, comparison], axis=1)


def first_answers_without_shapes(writer: GraphWriter, answers: str, table: str) -> str:
    """The same for a GPU: runtimes put operators that compute with shapes on the CPU."""
    comparison = writer.add("Squeeze", [table, writer.integers(0)])
    return writer.add("Gather", [answers, comparison], axis=1)


def sum_of_leaves(writer: GraphWriter, index: str, leaves: str) -> str:
    """The sum [N, 1] over the trees of `leaves` [2**D, T] at each row's indices."""
    value = writer.add("GatherElements", [leaves, index], axis=0)
    return writer.add("ReduceSum", [value, writer.integers(1)], keepdims=1)


def leaf_table(writer: GraphWriter, leaves: str, leaf_of_index: str, trees: int) -> str:
    """The leaves [n] by index, [2**D, T]; rebuilt from constants when the graph is loaded."""
    values = writer.add("Gather", [leaves, leaf_of_index])
    values = writer.add("Reshape", [values, writer.integers(trees, -1)])
    return writer.add("Transpose", [values], perm=[1, 0])


def leaf_codes(writer: GraphWriter, high: str, low: str) -> str:
    """256 * high + low, int32 [n], from the two bytes of the leaves."""
    high = writer.add("Cast", [high], to=TensorProto.INT32)
    low = writer.add("Cast", [low], to=TensorProto.INT32)
    return writer.add("Add", [writer.add("Mul", [high, writer.number(256, np.int32)]), low])
