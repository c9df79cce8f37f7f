"""Trees without their padding: what a graph holds on disk, and how it unfolds when it is loaded.

A tree of depth D is a row of 2**D places, left to right, on which its leaves lie: a leaf at depth d
covers 2**(D - d) of them. One bit for each place, "a leaf begins here", is the whole shape of the
tree: the node that covers a span of places is an inner one if a leaf begins inside the span. So the
file holds these bits, what the inner nodes ask, level by level, and the leaves, in order; a tree
with 10 leaves needs a quarter of what its padded tables would. The nodes written here rebuild the
tables from constants alone, so a runtime computes them once, while it loads the graph.
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

    `begins` uint8 [T, 2**D / 8]: bit j of byte i is set where a leaf begins at place 8i + j.
    `asks[d]`: what the inner nodes of level d ask, tree by tree, from left to right.
    `values` float32 [leaves]: the leaves, tree by tree, from left to right.
    """

    begins: NDArray[np.uint8]
    asks: tuple[Ints, ...]
    values: Floats

    @property
    def tree_of_value(self) -> Ints:
        """Which tree's each leaf is, int32 [leaves]."""
        leaves = np.unpackbits(self.begins, axis=1).sum(axis=1, dtype=np.int64)
        return np.repeat(np.arange(self.trees, dtype=np.int32), leaves)

    @property
    def trees(self) -> int:
        """How many trees there are."""
        return len(self.begins)

    @property
    def depth(self) -> int:
        """Levels of inner nodes."""
        return len(self.asks)


@dataclass(frozen=True, slots=True)
class Unfolded:
    """Names of what the graph rebuilds. S is the number of places of a tree, 2**D.

    `leaf_of_place` int32 [T * S]: which leaf covers a place. `inner[d]` int64 [n]: where among
    T * 2**d the inner nodes of level d stand; "" where there are none. `rank[d]` int32 [T * 2**d]:
    how many inner ones came before an inner one. `asks[d]` int32 [n]: what they ask. `tables[d]`
    int32 [2**d, T]: the same by place, and anything where no inner node is.
    """

    leaf_of_place: str
    inner: tuple[str, ...]
    rank: tuple[str, ...]
    asks: tuple[str, ...]
    tables: tuple[str, ...]


def packed_trees(forest: Forest, asked: Ints) -> PackedTrees:
    """Pack the trees; `asked` int32 [n] says what each inner node asks."""
    here = np.arange(forest.size, dtype=np.int32)
    leaf = forest.is_leaf
    left, right = np.where(leaf, here, forest.left), np.where(leaf, here, forest.right)
    nodes = forest.roots[:, None]
    asks = []
    for _ in range(max(_LEAST_DEPTH, forest.depth)):
        asks.append(asked[nodes[~leaf[nodes]]])
        nodes = np.stack([left[nodes], right[nodes]], axis=2).reshape(forest.trees, -1)
    begins = np.ones(nodes.shape, dtype=np.bool_)
    begins[:, 1:] = nodes[:, 1:] != nodes[:, :-1]
    return PackedTrees(
        np.packbits(begins, axis=1, bitorder="little"), tuple(asks), forest.value[nodes[begins]]
    )


def unfold(writer: GraphWriter, packed: PackedTrees) -> Unfolded:
    """Write the nodes that rebuild the tables, all of them from constants."""
    trees, places = packed.trees, 2**packed.depth
    bytes_ = writer.constant("begins", packed.begins[:, :, None])
    bits = writer.constant("bits", np.left_shift(1, np.arange(8)).astype(np.uint8))
    begins = writer.add("BitwiseAnd", [bytes_, bits])
    begins = writer.add("Cast", [begins], to=TensorProto.BOOL)
    begins = writer.add("Cast", [begins], to=TensorProto.INT32)
    inner, rank, asks, tables = [], [], [], []
    kind = np.uint16 if max(map(_largest, packed.asks)) < _UINT16_VALUES else np.int32
    for depth, level in enumerate(packed.asks):
        nodes = 2**depth
        spans = writer.add("Reshape", [begins, writer.integers(trees, nodes, places // nodes)])
        inside = writer.add("Slice", [spans, *map(writer.integers, (1, places, 2))])
        mark = writer.add("ReduceMax", [inside, writer.integers(2)], keepdims=0)
        mark = writer.add("Reshape", [mark, writer.integers(-1)])
        # Of equal values TopK takes the first ones first. (NonZero and Compress would say the same,
        # but a runtime does not work them out while it loads the graph.)
        count = writer.integers(len(level))
        inner.append(writer.add("TopK", [mark, count], axis=0, output=1) if len(level) else "")
        rank.append(_places_before(writer, mark))
        # A level without an inner node still has a table, of which all entries are one.
        held = writer.constant(f"asks_{depth}", (level if len(level) else _ANYTHING).astype(kind))
        asks.append(writer.add("Cast", [held], to=TensorProto.INT32))
        table = writer.add("Gather", [asks[-1], rank[-1]])
        table = writer.add("Reshape", [table, writer.integers(trees, nodes)])
        tables.append(writer.add("Transpose", [table], perm=[1, 0]))
    flat = writer.add("Reshape", [begins, writer.integers(-1)])
    return Unfolded(
        _places_before(writer, flat), tuple(inner), tuple(rank), tuple(asks), tuple(tables)
    )


def _places_before(writer: GraphWriter, marks: str) -> str:
    # -1 before the first mark: as an index that is the last entry, which does no harm.
    counted = writer.add("CumSum", [marks, writer.number(0, np.int64)])
    return writer.add("Sub", [counted, writer.number(1, np.int32)])


def _largest(level: Ints) -> int:
    return int(level.max(initial=0))
