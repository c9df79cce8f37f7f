"""Compiles forests into plain ONNX operators, opset 18: no tree operator, no branch on a row.

Why the result equals the forest's. Each inner node makes one comparison. Equal comparisons share an
entry of a table and are made once per row, with the float32 comparison that the forest itself
makes, NaN included (comparisons.py). The trees are padded to perfect ones: below a leaf, every
index of a level belongs to that leaf (walk.py; CPU graphs store the trees without the padding and
pad them while the graph is loaded, packed.py). From there a batch takes one of two paths, depending
on its size.

The walk (walk.py) goes from index i of a level to index 2i + answer of the next, which is the left
child for 0 and the right child for 1. After as many levels as the deepest tree has, the index is
one of those that belong to the leaf which the forest reaches.

The sweep (sweep.py) marks for every node the rows that reach it and go right. A row's leaf is the
tree's leftmost one plus the changes at those nodes, which is a telescoping sum.

With int8 leaves both paths add up the same integers without rounding, so a row's answer does not
depend on its batch. The result is multiplied by the step, and the base is added.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from preprocess.forest.comparisons import (
    AnswerTable,
    answer_table,
    answers_by_column,
    answers_by_row,
    predicates,
)
from preprocess.forest.graph import GraphWriter, below, body_of, in_chunks
from preprocess.forest.leaves import int8_leaves
from preprocess.forest.packed import PackedTrees, packed_trees, unfold
from preprocess.forest.sweep import parents_of, sweep, sweep_weights
from preprocess.forest.trees import Forest, ForestError
from preprocess.forest.walk import (
    first_answers,
    first_answers_without_shapes,
    leaf_codes,
    leaf_table,
    padded_trees,
    sum_of_leaves,
    walk,
)

# A tree is padded to 2**depth leaves: beyond this, tables grow larger than what they replace.
MAX_DEPTH = 8

# Sums of two-byte leaves stay within 32 bits.
MAX_TREES = 2**15

_PREFIX = "forest_"
_FEATURES = "features"


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """Nodes and constants that compute `output`, float32 [N, 1], from `features` float32 [N, F].

    The output is the margin: the base plus one leaf of each tree. All other names begin with
    "forest_".
    """

    output: str
    nodes: tuple[onnx.NodeProto, ...]
    constants: tuple[onnx.TensorProto, ...]


def compile_for_cpu(forest: Forest, *, chunk_rows: int, sweep_from: int | None = None) -> Compiled:
    """A graph with leaves of two bytes, multiples of one step.

    At most `chunk_rows` rows are processed at once. Batches of `sweep_from` rows or more are swept,
    smaller ones walked; see plan.plan for both.

    Raises:
        ForestError: the forest is too deep or too large for this form, or there is nothing to
            sweep in it.
    """
    _require_compilable(forest)
    if sweep_from is not None and not forest.depth:
        raise ForestError("There is nothing to sweep in a forest of bare leaves.")
    writer = GraphWriter(_PREFIX)
    paths = _Paths(writer, forest)
    small_batch, chunk, large_batch = (writer.inside(mark) for mark in ("few_", "row_", "many_"))
    path = paths.walk if sweep_from is None else paths.sweep
    rows = f"{_PREFIX}rows"
    body = body_of(chunk, [rows], path(chunk, rows))
    joined = in_chunks(large_batch, _FEATURES, forest.n_features, chunk_rows, body)
    margin = below(
        writer,
        _FEATURES,
        chunk_rows + 1 if sweep_from is None else sweep_from,
        body_of(small_batch, [], paths.walk(small_batch, _FEATURES)),
        body_of(large_batch, [], joined),
    )
    return _compiled(writer, margin)


def compile_for_gpu(forest: Forest) -> Compiled:
    """A graph with the forest's own float32 leaves that walks all rows at once.

    Its tables are stored as they are used, so the runtime has nothing to unpack.

    Raises:
        ForestError: the forest is too deep or too large for this form.
    """
    _require_compilable(forest)
    writer = GraphWriter(_PREFIX)
    comparisons = predicates(forest)
    table = answer_table(comparisons, forest.n_features)
    trees = padded_trees(forest, table.column[comparisons.of_node])
    tables = trees.written(writer)
    answers = answers_by_row(writer, _FEATURES, table)
    first = first_answers_without_shapes(writer, answers, tables[0])
    reached = walk(writer, answers, tables, first)
    total = sum_of_leaves(writer, reached, writer.constant("leaves", trees.leaves))
    base = writer.number(float(forest.base), np.float32)
    return _compiled(writer, writer.add("Add", [total, base]))


def _compiled(writer: GraphWriter, margin: str) -> Compiled:
    return Compiled(margin, tuple(writer.nodes), tuple(writer.constants.values()))


class _Paths:
    """What walk and sweep share, written once outside the subgraphs that use it."""

    def __init__(self, writer: GraphWriter, forest: Forest) -> None:
        comparisons = predicates(forest)
        self._writer = writer
        self._table: AnswerTable = answer_table(comparisons, forest.n_features)
        self._packed: PackedTrees = packed_trees(forest, self._table.column[comparisons.of_node])
        rounded = int8_leaves(self._packed.values, self._packed.tree_of_value)
        self._unfolded = unfold(writer, self._packed)
        high, low = writer.constant("high", rounded.high), writer.constant("low", rounded.low)
        leaves = leaf_codes(writer, high, low)
        self._step = rounded.step
        self._base = float(forest.base) + int(rounded.zero.sum()) * float(rounded.step)
        is_leftmost = np.diff(rounded.tree, prepend=-1) != 0
        self._leftmost = int(rounded.codes[is_leftmost].sum())
        self._leaves = leaf_table(writer, leaves, self._unfolded.leaf_of_index, self._packed.trees)

    def walk(self, writer: GraphWriter, features: str) -> str:
        """The margins float32 [N, 1] of features [N, F] by the walk."""
        tables = self._unfolded.tables
        answers = answers_by_row(writer, features, self._table)
        reached = walk(writer, answers, tables, first_answers(writer, answers, tables[0]))
        return self._margin(writer, sum_of_leaves(writer, reached, self._leaves))

    def sweep(self, writer: GraphWriter, features: str) -> str:
        """The same by the sweep."""
        answers = answers_by_column(writer, features, self._table)
        outer = self._writer
        weights = sweep_weights(outer, self._packed, self._unfolded, self._leaves)
        parents = parents_of(outer, self._packed, self._unfolded)
        change = sweep(writer, answers, self._unfolded, weights, parents)
        total = writer.add("Add", [change, writer.number(self._leftmost, np.int32)])
        return self._margin(writer, writer.add("Reshape", [total, writer.integers(-1, 1)]))

    def _margin(self, writer: GraphWriter, total: str) -> str:
        total = writer.add("Cast", [total], to=TensorProto.FLOAT)
        step = writer.constant("step", np.array(self._step, dtype=np.float32))
        base = writer.constant("base", np.array(self._base, dtype=np.float32))
        return writer.add("Add", [writer.add("Mul", [total, step]), base])


def _require_compilable(forest: Forest) -> None:
    if forest.depth > MAX_DEPTH:
        raise ForestError(
            f"The deepest tree has {forest.depth} levels of comparisons; this form supports at "
            f"most {MAX_DEPTH}, because it holds 2**depth leaves of each tree."
        )
    if forest.trees > MAX_TREES:
        raise ForestError(f"{forest.trees} trees are too many: at most {MAX_TREES} add up safely.")
