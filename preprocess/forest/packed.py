"""Trees without padding: what a graph stores, and how it is unfolded while the graph is loaded.

A tree of depth D has 2**D slots on its last level, left to right: a leaf at depth d covers
2**(D - d) of them. One bit per slot, "a leaf begins here", describes the whole shape of the tree:
the node that covers a span of slots is an inner node if a leaf begins inside the span. So the file
stores these bits, the comparisons of the inner nodes, level by level, and the leaves, in order; a
tree with 10 leaves needs a quarter of its padded tables. The nodes written here rebuild the tables
from constants only, so a runtime computes them once, while it loads the graph.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from preprocess.forest.graph import GraphWriter
from preprocess.forest.trees import Floats, Forest, Ints

# The bits of a tree are whole bytes.
_LEAST_DEPTH = 3

_UINT16_VALUES = 2**16

_ANYTHING: Ints = np.zeros(1, dtype=np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class PackedTrees:
    """T trees of depth D, at least 3.

    `begins` uint8 [T, 2**D / 8]: bit j of byte i is set where a leaf begins at slot 8i + j.
    `comparisons[d]`: those of the inner nodes of level d, tree by tree, from left to right.
    `values` float32 [leaves]: the leaves, tree by tree, from left to right.
    """

    begins: NDArray[np.uint8]
    comparisons: tuple[Ints, ...]
    values: Floats

    @property
    def tree_of_value(self) -> Ints:
        """The tree of each leaf, int32 [leaves]."""
        leaves = np.unpackbits(self.begins, axis=1).sum(axis=1, dtype=np.int64)
        return np.repeat(np.arange(self.trees, dtype=np.int32), leaves)

    @property
    def trees(self) -> int:
        """How many trees there are."""
        return len(self.begins)

    @property
    def depth(self) -> int:
        """Levels of inner nodes."""
        return len(self.comparisons)


@dataclass(frozen=True, slots=True)
class Unfolded:
    """Names of what the graph rebuilds. S is the number of slots of a tree, 2**D.

    `leaf_of_index` int32 [T * S]: which leaf covers a slot. `inner[d]` int64 [n]: the indices of
    level d's inner nodes among T * 2**d; "" where there are none. `rank[d]` int32 [T * 2**d]: how
    many inner nodes come before each. `comparisons[d]` int32 [n]: those of the inner nodes.
    `tables[d]` int32 [2**d, T]: the same by index, with any value where there is no inner node.
    """

    leaf_of_index: str
    inner: tuple[str, ...]
    rank: tuple[str, ...]
    comparisons: tuple[str, ...]
    tables: tuple[str, ...]


def packed_trees(forest: Forest, comparison: Ints) -> PackedTrees:
    """Pack the trees; `comparison` int32 [n] is that of each inner node."""
    here = np.arange(forest.size, dtype=np.int32)
    leaf = forest.is_leaf
    left, right = np.where(leaf, here, forest.left), np.where(leaf, here, forest.right)
    nodes = forest.roots[:, None]
    comparisons = []
    for _ in range(max(_LEAST_DEPTH, forest.depth)):
        comparisons.append(comparison[nodes[~leaf[nodes]]])
        nodes = np.stack([left[nodes], right[nodes]], axis=2).reshape(forest.trees, -1)
    begins = np.ones(nodes.shape, dtype=np.bool_)
    begins[:, 1:] = nodes[:, 1:] != nodes[:, :-1]
    return PackedTrees(
        np.packbits(begins, axis=1, bitorder="little"),
        tuple(comparisons),
        forest.value[nodes[begins]],
    )


def unfold(writer: GraphWriter, packed: PackedTrees) -> Unfolded:
    """Write the nodes that rebuild the tables from constants only."""
    trees, slots = packed.trees, 2**packed.depth
    bytes_ = writer.constant("begins", packed.begins[:, :, None])
    bits = writer.constant("bits", np.left_shift(1, np.arange(8)).astype(np.uint8))
    begins = writer.add("BitwiseAnd", [bytes_, bits])
    begins = writer.add("Cast", [begins], to=TensorProto.BOOL)
    begins = writer.add("Cast", [begins], to=TensorProto.INT32)
    inner, rank, comparisons, tables = [], [], [], []
    kind = np.uint16 if max(map(_largest, packed.comparisons)) < _UINT16_VALUES else np.int32
    for depth, level in enumerate(packed.comparisons):
        nodes = 2**depth
        spans = writer.add("Reshape", [begins, writer.integers(trees, nodes, slots // nodes)])
        inside = writer.add("Slice", [spans, *map(writer.integers, (1, slots, 2))])
        mark = writer.add("ReduceMax", [inside, writer.integers(2)], keepdims=0)
        mark = writer.add("Reshape", [mark, writer.integers(-1)])
        # Among equal values TopK returns the first ones first. (NonZero and Compress would do too,
        # but a runtime does not evaluate them while it loads the graph.)
        count = writer.integers(len(level))
        inner.append(writer.add("TopK", [mark, count], axis=0, output=1) if len(level) else "")
        rank.append(_count_before(writer, mark))
        # A level without an inner node still has a table, whose content does not matter.
        stored = writer.constant(f"asks_{depth}", (level if len(level) else _ANYTHING).astype(kind))
        comparisons.append(writer.add("Cast", [stored], to=TensorProto.INT32))
        table = writer.add("Gather", [comparisons[-1], rank[-1]])
        table = writer.add("Reshape", [table, writer.integers(trees, nodes)])
        tables.append(writer.add("Transpose", [table], perm=[1, 0]))
    flat = writer.add("Reshape", [begins, writer.integers(-1)])
    return Unfolded(
        _count_before(writer, flat), tuple(inner), tuple(rank), tuple(comparisons), tuple(tables)
    )


def _count_before(writer: GraphWriter, marks: str) -> str:
    # -1 before the first mark: as an index that means the last entry, which is harmless.
    counted = writer.add("CumSum", [marks, writer.number(0, np.int64)])
    return writer.add("Sub", [counted, writer.number(1, np.int32)])


def _largest(level: Ints) -> int:
    return int(level.max(initial=0))
