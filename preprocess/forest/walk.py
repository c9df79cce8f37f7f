"""The walk: all trees of all rows go down one level at a time, by arithmetic and table look-ups.

At level d a row stands at place i of each tree. Table d says what the node there asks, the row's
answers say 0 (left) or 1 (right), and the next place is 2i + answer. Nothing branches, so nothing
is mispredicted, and every operator works on one array of rows x trees. Below a leaf the tables ask
anything, and whatever the answer, the place stays one of those that the leaf covers.
"""

import numpy as np
from onnx import TensorProto

from preprocess.forest.graph import GraphWriter


def walk(writer: GraphWriter, answers: str, tables: tuple[str, ...], first: str) -> str:
    """Each row's place among the leaves of each tree, int32 [N, T].

    `answers` uint8 [N, M] are the row's comparisons, `tables` the names of int32 [2**d, T], `first`
    uint8 [N, T] the answers to what the roots ask.
    """
    place = writer.add("Cast", [first], to=TensorProto.INT32)
    for table in tables[1:]:
        asked = writer.add("GatherElements", [table, place], axis=0)
        answer = writer.add("GatherElements", [answers, asked], axis=1)
        answer = writer.add("Cast", [answer], to=TensorProto.INT32)
        place = writer.add("Add", [writer.add("Add", [place, place]), answer])
    return place


def first_answers(writer: GraphWriter, answers: str, table: str) -> str:
    """The answers uint8 [N, T] to what the roots ask, `table` int32 [1, T]; quick on a CPU."""
    rows = writer.add("Shape", [answers], start=0, end=1)
    trees = writer.add("Shape", [table], start=1, end=2)
    asked = writer.add("Expand", [table, writer.add("Concat", [rows, trees], axis=0)])
    return writer.add("GatherElements", [answers, asked], axis=1)


def first_answers_without_shapes(writer: GraphWriter, answers: str, table: str) -> str:
    """The same. Runtimes put what computes with shapes on the CPU, which a GPU's graph must not."""
    asked = writer.add("Squeeze", [table, writer.integers(0)])
    return writer.add("Gather", [answers, asked], axis=1)


def sum_of_leaves(writer: GraphWriter, place: str, leaves: str) -> str:
    """The sum [N, 1] over the trees of what stands in `leaves` [2**D, T] at each row's places."""
    value = writer.add("GatherElements", [leaves, place], axis=0)
    return writer.add("ReduceSum", [value, writer.integers(1)], keepdims=1)


def leaf_table(writer: GraphWriter, leaves: str, leaf_of_place: str, trees: int) -> str:
    """The leaves [n] by place, [2**D, T]; rebuilt from constants when the graph is loaded."""
    values = writer.add("Gather", [leaves, leaf_of_place])
    values = writer.add("Reshape", [values, writer.integers(trees, -1)])
    return writer.add("Transpose", [values], perm=[1, 0])


def leaf_codes(writer: GraphWriter, high: str, low: str) -> str:
    """256 * high + low, int32 [n], from the two bytes of the leaves."""
    high = writer.add("Cast", [high], to=TensorProto.INT32)
    low = writer.add("Cast", [low], to=TensorProto.INT32)
    return writer.add("Add", [writer.add("Mul", [high, writer.number(256, np.int32)]), low])
