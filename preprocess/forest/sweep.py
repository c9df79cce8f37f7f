"""The sweep: every inner node is evaluated for every row, a byte each, with no look-up by row.

The rows of a batch are on the last axis of every array, so fetching the answers for a node copies a
run of bytes, and one vector instruction works on many rows. From the root down, `reach` says which
rows reach a node; of those, `right` go right because their answer is 1, and the others left. This
suits trees with few leaves and batches of more than about ten rows; the walk suits the rest.

The leaf that a row reaches is never looked up. Give each node the code of its leftmost leaf: going
left keeps it, going right from a node changes it by w = code(right child) - code(node). So the code
of a row's leaf is that of the tree's leftmost leaf plus the w of all nodes at which it goes right,
and the sum over all trees is one product of w with `right`. All of these are integers: w + 2**15
as two bytes, `right` as a third, products of uint8 with int8 that add up in int32, and no rounding.
"""

import numpy as np
from onnx import TensorProto

from preprocess.forest.graph import GraphWriter
from preprocess.forest.packed import PackedTrees, Unfolded

_OFFSET = 2**15


def sweep_weights(
    writer: GraphWriter, packed: PackedTrees, unfolded: Unfolded, codes: str
) -> list[tuple[str, str, str]]:
    """For each level the bytes of w + 2**15, high and low, and as many ones, all uint8 [1, n].

    `codes` int32 [2**D, T] are those of the leaves by index. Rebuilt when the graph is loaded.
    """
    by_tree = writer.add("Transpose", [codes], perm=[1, 0])
    slots = 2**packed.depth
    weights = []
    for depth, level in enumerate(packed.comparisons):
        if not len(level):
            break
        span = slots >> depth
        node, child = (
            writer.add("Slice", [by_tree, *map(writer.integers, (first, slots, 1, span))])
            for first in (0, span // 2)
        )
        change = writer.add(
            "Add", [writer.add("Sub", [child, node]), writer.number(_OFFSET, np.int32)]
        )
        change = writer.add("Reshape", [change, writer.integers(-1)])
        change = writer.add("Gather", [change, unfolded.inner[depth]])
        base = writer.number(256, np.int32)
        high = writer.add("Div", [change, base])
        low = writer.add("Mod", [change, base])
        one = writer.add("Cast", [change], to=TensorProto.BOOL)  # no w is -2**15
        weights.append((_byte_row(writer, high), _byte_row(writer, low), _byte_row(writer, one)))
    return weights


def sweep(
    writer: GraphWriter,
    answers: str,
    unfolded: Unfolded,
    weights: list[tuple[str, str, str]],
    parents: list[str],
) -> str:
    """Each row's sum of w over all nodes at which it goes right, int32 [1, N].

    `answers` bool [M, N] are the comparisons of the rows.
    """
    sums: list[str] = ["", "", ""]
    reach = ""
    for depth, parts in enumerate(weights):
        right = writer.add("Gather", [answers, unfolded.comparisons[depth]])
        if depth:
            right = writer.add("And", [reach, right])
        ones = writer.add("Cast", [right], to=TensorProto.INT8)
        for index, part in enumerate(parts):
            product = writer.add("MatMulInteger", [part, ones])
            sums[index] = writer.add("Add", [sums[index], product]) if depth else product
        if depth + 1 < len(weights):
            left = writer.add("Xor", [reach, right]) if depth else writer.add("Not", [right])
            both = writer.add("Concat", [left, right], axis=0)
            reach = writer.add("Gather", [both, parents[depth + 1]])
    high, low, count = sums
    half = writer.add("Mul", [count, writer.number(_OFFSET // 256, np.int32)])
    high = writer.add("Mul", [writer.add("Sub", [high, half]), writer.number(256, np.int32)])
    return writer.add("Add", [high, low])


def parents_of(writer: GraphWriter, packed: PackedTrees, unfolded: Unfolded) -> list[str]:
    """For each level, the index of its inner nodes' reach in [left; right] of the level above.

    Rebuilt when the graph is loaded.
    """
    parents = [""]
    for depth in range(1, packed.depth):
        if not len(packed.comparisons[depth]):
            break
        index = unfolded.inner[depth]
        two = writer.number(2, np.int64)
        parent = writer.add("Gather", [unfolded.rank[depth - 1], writer.add("Div", [index, two])])
        side = writer.add("Cast", [writer.add("Mod", [index, two])], to=TensorProto.INT32)
        above = writer.number(len(packed.comparisons[depth - 1]), np.int32)
        parents.append(writer.add("Add", [parent, writer.add("Mul", [side, above])]))
    return parents


def _byte_row(writer: GraphWriter, values: str) -> str:
    row = writer.add("Reshape", [values, writer.integers(1, -1)])
    return writer.add("Cast", [row], to=TensorProto.UINT8)
