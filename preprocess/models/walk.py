"""The INT8 and GPU graphs: the forest as look-ups in tables, in operators of every runtime."""

import onnx
from onnx import helper

from preprocess.errors import ModelError
from preprocess.forest.compiler import Compiled, compile_forest
from preprocess.forest.errors import ForestError
from preprocess.forest.leaves import int8_leaves_of
from preprocess.forest.plan import plan
from preprocess.forest.trees import Forest
from preprocess.models.frame import framed
from preprocess.training.model_card import ModelCard


def int8_graph(forest: Forest, about: ModelCard) -> onnx.ModelProto:
    """The INT8 graph: leaves of two bytes, rows in chunks that stay in the cache.

    Raises:
        ModelError: the forest is too deep for it.
    """
    return _graph(int8_forest(forest), about, "int8")


def int8_forest(forest: Forest) -> Compiled:
    """The forest with int8 leaves, as it is served.

    Raises:
        ModelError: the forest is too deep for it.
    """
    try:
        way = plan(forest)
        return compile_forest(
            forest, leaves="int8", chunk_rows=way.chunk_rows, sweep_from=way.sweep_from
        )
    except ForestError as error:
        raise ModelError(f"No INT8 graph: {error} Train with --depth 8 or less.") from error


def int8_error(forest: Forest) -> float:
    """How far the rounding of the leaves takes the margin of a row; see Int8Leaves.error."""
    return int8_leaves_of(forest).error


def gpu_graph(forest: Forest, about: ModelCard) -> onnx.ModelProto:
    """The GPU graph: the forest's own leaves, all rows at once, no tree operator.

    Raises:
        ModelError: the forest is too deep for it.
    """
    try:
        compiled = compile_forest(forest, leaves="float32", chunk_rows=None)
    except ForestError as error:
        raise ModelError(f"No GPU graph: {error} Train with --depth 8 or less.") from error
    return _graph(compiled, about, "gpu")


def _graph(compiled: Compiled, about: ModelCard, variant: str) -> onnx.ModelProto:
    sigmoid = helper.make_node("Sigmoid", [compiled.output], ["positive"])
    return framed(
        [*compiled.nodes, sigmoid],
        compiled.constants,
        positive="positive",
        about=about,
        variant=variant,
    )
