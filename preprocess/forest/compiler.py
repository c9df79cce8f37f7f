"""Forests into graphs of plain ONNX operators, opset 18: no tree operator, no branch.

Why the result is the forest's. Each inner node asks one comparison of the row; equal comparisons
are one entry of a table (predicates.py), answered once for a row with the float32 comparison that
the forest itself makes, NaN included (answers.py). Padding a tree to a perfect one adds nodes below
leaves only, and every leaf below a padded one is that leaf (perfect.py), so whichever way such a
node sends the row, it comes to the same value. At place i of level d the walk takes the node's
answer b and goes to place 2i + b of level d + 1, which is the left child for 0 and the right for 1
(walk.py). After as many levels as the deepest tree has, the place is that of the leaf which the
forest comes to, and the sum over the trees is its margin.
"""

from dataclasses import dataclass
from typing import Literal

import onnx

from preprocess.forest.answers import answer, answer_table
from preprocess.forest.chunks import body_of, in_chunks
from preprocess.forest.errors import ForestError
from preprocess.forest.graph import GraphWriter
from preprocess.forest.leaves import Int8Leaves, int8_leaves
from preprocess.forest.perfect import perfect_trees
from preprocess.forest.predicates import predicates
from preprocess.forest.trees import Forest
from preprocess.forest.walk import sum_floats, sum_int8, walk, walk_tables

Leaves = Literal["int8", "float32"]

# A tree becomes 2**depth leaves: beyond this, tables grow larger than what they replace.
MAX_DEPTH = 8


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """Nodes and constants that compute `output`, float32 [N, 1], from `input`, float32 [N, F].

    The output is the margin: the base and one leaf of each tree. `leaves` are those of the int8
    form, with the error they may bring; None where leaves are float32.
    """

    input: str
    output: str
    nodes: tuple[onnx.NodeProto, ...]
    constants: tuple[onnx.TensorProto, ...]
    leaves: Int8Leaves | None


def compile_forest(
    forest: Forest, *, leaves: Leaves, chunk_rows: int | None, prefix: str = "forest_"
) -> Compiled:
    """Compile a forest; every name in it but the input, "features", begins with `prefix`.

    int8 leaves have a scale for each tree and are a rounding; float32 leaves are the forest's own.
    `chunk_rows` is the most rows that are walked at once, see chunks.rows_in_cache; None walks
    them all at once, which suits a GPU.

    Raises:
        ForestError: the forest is too deep for this form, or `chunk_rows` is not positive.
    """
    if forest.depth > MAX_DEPTH:
        raise ForestError(
            f"The deepest tree asks {forest.depth} questions in a row; this form is for at most "
            f"{MAX_DEPTH}, because it holds 2**depth leaves of each tree."
        )
    if chunk_rows is not None and chunk_rows < 1:
        raise ForestError(f"A chunk has at least one row, not {chunk_rows}.")
    asked = predicates(forest)
    table = answer_table(asked, forest.n_features)
    column = table.column[asked.of_node]
    perfect = perfect_trees(forest, column)
    rounded = int8_leaves(perfect.leaves) if leaves == "int8" else None

    outer = GraphWriter(prefix)
    tables = walk_tables(outer, perfect)
    rows = "features" if chunk_rows is None else f"{prefix}rows"
    inner = outer if chunk_rows is None else GraphWriter(f"{prefix}row_", [], outer.constants)
    place = walk(inner, answer(inner, rows, table), tables)
    if rounded is None:
        margin = sum_floats(inner, place, perfect.leaves, float(forest.base))
    else:
        margin = sum_int8(inner, place, rounded, float(forest.base))
    if chunk_rows is not None:
        body = body_of(inner, rows, margin)
        margin = in_chunks(outer, "features", forest.n_features, chunk_rows, body)
    constants = tuple(outer.constants.values())
    return Compiled("features", margin, tuple(outer.nodes), constants, rounded)
