"""The walk: all trees of all rows go down one level at a time, by arithmetic and table look-ups.

At level d a row stands at place i of each tree. Table d says what the node there asks, the row's
answers say 0 (left) or 1 (right), and the next place is 2i + answer. Nothing branches, so nothing
is mispredicted, and every operator works on one array of rows x trees.
"""

import numpy as np
from onnx import TensorProto

from preprocess.forest.graph import GraphWriter
from preprocess.forest.leaves import Int8Leaves
from preprocess.forest.perfect import PerfectTrees
from preprocess.forest.trees import Floats

_UINT16_VALUES = 2**16


def walk_tables(writer: GraphWriter, trees: PerfectTrees) -> list[str]:
    """The tables of the levels; kept as uint16 and widened once, when the graph is loaded."""
    widest = max(int(level.max()) for level in trees.levels)
    kind = np.uint16 if widest < _UINT16_VALUES else np.int32
    return [
        writer.add("Cast", [writer.constant(f"asks_{d}", table.astype(kind))], to=TensorProto.INT32)
        for d, table in enumerate(trees.levels)
    ]


def walk(writer: GraphWriter, answers: str, tables: list[str]) -> str:
    """Each row's place among the leaves of each tree, int32 [N, T].

    `answers` uint8 [N, M] are the row's comparisons, `tables` the names of int32 [2**d, T].
    """
    rows = writer.add("Shape", [answers], start=0, end=1)
    trees = writer.add("Shape", [tables[0]], start=1, end=2)
    shape = writer.add("Concat", [rows, trees], axis=0)
    asked = writer.add("Expand", [tables[0], shape])
    place = ""
    for depth, table in enumerate(tables):
        if depth:
            asked = writer.add("GatherElements", [table, place], axis=0)
        answer = writer.add("GatherElements", [answers, asked], axis=1)
        answer = writer.add("Cast", [answer], to=TensorProto.INT32)
        if depth:
            answer = writer.add("Add", [writer.add("Add", [place, place]), answer])
        place = answer
    return place


def sum_floats(writer: GraphWriter, place: str, leaves: Floats, base: float) -> str:
    """The margin [N, 1] from float32 leaves [L, T]."""
    value = writer.add("GatherElements", [writer.constant("leaves", leaves), place], axis=0)
    total = writer.add("ReduceSum", [value, writer.integers(1)], keepdims=1)
    return writer.add("Add", [total, writer.constant("base", np.array(base, dtype=np.float32))])


def sum_int8(writer: GraphWriter, place: str, leaves: Int8Leaves, base: float) -> str:
    """The margin [N, 1] from int8 leaves: one product with the trees' scales sums them up."""
    codes = writer.constant("leaves", leaves.codes)
    value = writer.add("GatherElements", [codes, place], axis=0)
    value = writer.add("Cast", [value], to=TensorProto.FLOAT)
    total = writer.add("MatMul", [value, writer.constant("scale", leaves.scale[:, None])])
    offset = np.array(base + leaves.offset, dtype=np.float32)
    return writer.add("Add", [total, writer.constant("base", offset)])
