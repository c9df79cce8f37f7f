"""Forests into graphs of plain ONNX operators, opset 18: no tree operator, no branch on a row.

Why the result is the forest's. Each inner node asks one comparison of the row; equal comparisons
are one entry of a table (predicates.py), answered once for a row with the float32 comparison that
the forest itself makes, NaN included (answers.py). The trees are padded to perfect ones: below a
leaf every place is that leaf (padded.py; for CPUs they are held without the padding and padded when
the graph is loaded, packed.py). From there a batch goes one of two ways, by its size.

The walk (walk.py) goes from place i of a level to 2i + answer of the next, which is the left child
for 0 and the right for 1. After as many levels as the deepest tree has, the place is one that the
leaf covers which the forest comes to.

The sweep (sweep.py) marks for every node the rows that come to it and go right. A row's leaf is the
tree's leftmost one plus the changes at those nodes, which is a telescoping sum.

With int8 leaves both add up the same whole numbers without rounding, so a row's answer does not
depend on its batch; one product with the step and one sum with the base end it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto

from preprocess.forest.answers import (
    AnswerTable,
    answer_table,
    answers_by_column,
    answers_by_row,
)
from preprocess.forest.chunks import below, body_of, in_chunks
from preprocess.forest.errors import ForestError
from preprocess.forest.graph import GraphWriter
from preprocess.forest.leaves import Int8Leaves, int8_leaves
from preprocess.forest.packed import PackedTrees, packed_trees, unfold
from preprocess.forest.padded import padded_trees
from preprocess.forest.predicates import predicates
from preprocess.forest.sweep import parents_of, sweep, sweep_weights
from preprocess.forest.trees import Forest, Ints
from preprocess.forest.walk import (
    first_answers,
    first_answers_without_shapes,
    leaf_codes,
    leaf_table,
    sum_of_leaves,
    walk,
)

Leaves = Literal["int8", "float32"]

# A tree is padded to 2**depth leaves: beyond this, tables grow larger than what they replace.
MAX_DEPTH = 8

# Sums of two-byte leaves stay within 32 bits.
MAX_TREES = 2**15


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """Nodes and constants that compute `output`, float32 [N, 1], from features float32 [N, F].

    The output is the margin: the base and one leaf of each tree. `leaves` are those of the int8
    form, which say how far their rounding can take it; None where leaves are float32.
    """

    output: str
    nodes: tuple[onnx.NodeProto, ...]
    constants: tuple[onnx.TensorProto, ...]
    leaves: Int8Leaves | None


def compile_forest(
    forest: Forest,
    *,
    leaves: Leaves,
    chunk_rows: int | None,
    sweep_from: int | None = None,
    features: str = "features",
    prefix: str = "forest_",
) -> Compiled:
    """Compile a forest; every name in it but that of the input, `features`, begins with `prefix`.

    int8 leaves are two bytes each, multiples of one step; float32 leaves are the forest's own.
    At most `chunk_rows` rows are taken at once. Batches of `sweep_from` rows or more are swept,
    smaller ones walked; see plan.plan for both. Without `chunk_rows` the graph is one for a GPU:
    all rows at once, float32 leaves, nothing left for the runtime to unfold.

    Raises:
        ForestError: the forest is too deep or too large for this form, or the way to take its
            batches makes no sense.
    """
    _require(forest, leaves, chunk_rows, sweep_from)
    asked = predicates(forest)
    table = answer_table(asked, forest.n_features)
    writer = GraphWriter(prefix)
    of_node = table.column[asked.of_node]
    if chunk_rows is None:
        margin = _at_once(writer, features, forest, table, of_node)
        return Compiled(margin, tuple(writer.nodes), tuple(writer.constants.values()), None)
    packed = packed_trees(forest, of_node)
    rounded = int8_leaves(packed.values, packed.tree_of_value) if leaves == "int8" else None
    ways = _Ways(writer, table, packed, rounded, base=float(forest.base))
    few, chunk, many = (writer.inside(mark) for mark in ("few_", "row_", "many_"))
    way = ways.walk if sweep_from is None else ways.sweep
    rows = f"{prefix}rows"
    body = body_of(chunk, [rows], way(chunk, rows))
    joined = in_chunks(many, features, forest.n_features, chunk_rows, body)
    margin = below(
        writer,
        features,
        chunk_rows + 1 if sweep_from is None else sweep_from,
        body_of(few, [], ways.walk(few, features)),
        body_of(many, [], joined),
    )
    return Compiled(margin, tuple(writer.nodes), tuple(writer.constants.values()), rounded)


def _at_once(
    writer: GraphWriter, features: str, forest: Forest, table: AnswerTable, asked: Ints
) -> str:
    """The margin of all rows at once, from tables that stand in the file as they are used."""
    trees = padded_trees(forest, asked)
    tables = trees.written(writer)
    answers = answers_by_row(writer, features, table)
    first = first_answers_without_shapes(writer, answers, tables[0])
    place = walk(writer, answers, tables, first)
    total = sum_of_leaves(writer, place, writer.constant("leaves", trees.leaves))
    return writer.add("Add", [total, writer.number(float(forest.base), np.float32)])


class _Ways:
    """What both ways use of a forest, written once, outside the subgraphs that use it."""

    def __init__(
        self,
        writer: GraphWriter,
        table: AnswerTable,
        packed: PackedTrees,
        rounded: Int8Leaves | None,
        *,
        base: float,
    ) -> None:
        self._writer, self._table, self._packed = writer, table, packed
        self._unfolded = unfold(writer, packed)
        self._step: np.float32 | None = None
        if rounded is None:
            leaves, self._base = writer.constant("leaves", packed.values), base
        else:
            high, low = writer.constant("high", rounded.high), writer.constant("low", rounded.low)
            leaves, self._step = leaf_codes(writer, high, low), rounded.step
            self._base = base + int(rounded.zero.sum()) * float(rounded.step)
            is_leftmost = np.diff(rounded.tree, prepend=-1) != 0
            self._leftmost = int(rounded.codes[is_leftmost].sum())
        self._leaves = leaf_table(writer, leaves, self._unfolded.leaf_of_place, packed.trees)

    def walk(self, writer: GraphWriter, features: str) -> str:
        """The margins float32 [N, 1] of features [N, F] by the walk."""
        tables = self._unfolded.tables
        answers = answers_by_row(writer, features, self._table)
        place = walk(writer, answers, tables, first_answers(writer, answers, tables[0]))
        return self._margin(writer, sum_of_leaves(writer, place, self._leaves))

    def sweep(self, writer: GraphWriter, features: str) -> str:
        """The same by the sweep, which is for int8 leaves."""
        answers = answers_by_column(writer, features, self._table)
        outer = self._writer
        weights = sweep_weights(outer, self._packed, self._unfolded, self._leaves)
        parents = parents_of(outer, self._packed, self._unfolded)
        change = sweep(writer, answers, self._unfolded, weights, parents)
        total = writer.add("Add", [change, writer.number(self._leftmost, np.int32)])
        return self._margin(writer, writer.add("Reshape", [total, writer.integers(-1, 1)]))

    def _margin(self, writer: GraphWriter, total: str) -> str:
        if self._step is not None:
            total = writer.add("Cast", [total], to=TensorProto.FLOAT)
            step = writer.constant("step", np.array(self._step, dtype=np.float32))
            total = writer.add("Mul", [total, step])
        base = writer.constant("base", np.array(self._base, dtype=np.float32))
        return writer.add("Add", [total, base])


def _require(
    forest: Forest, leaves: Leaves, chunk_rows: int | None, sweep_from: int | None
) -> None:
    if forest.depth > MAX_DEPTH:
        raise ForestError(
            f"The deepest tree asks {forest.depth} questions in a row; this form is for at most "
            f"{MAX_DEPTH}, because it holds 2**depth leaves of each tree."
        )
    if forest.trees > MAX_TREES:
        raise ForestError(f"{forest.trees} trees are too many: at most {MAX_TREES} add up safely.")
    if chunk_rows is not None and chunk_rows < 1:
        raise ForestError(f"A chunk has at least one row, not {chunk_rows}.")
    if leaves == "int8" and chunk_rows is None:
        raise ForestError("int8 leaves are for CPUs, which take rows in chunks: say how many.")
    if sweep_from is None:
        return
    if leaves != "int8":
        raise ForestError("Only int8 leaves are swept.")
    if not forest.depth:
        raise ForestError("There is nothing to sweep in a forest of bare leaves.")
