"""The variants in which a model is served: FP32, INT8 and GPU."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from preprocess.errors import ModelError
from preprocess.forest.compiler import Compiled, compile_for_cpu, compile_for_gpu
from preprocess.forest.plan import plan
from preprocess.forest.trees import Forest, ForestError
from preprocess.models.names import Variant
from preprocess.models.serving_graph import serving_graph
from preprocess.training.card import ModelCard
from preprocess.training.native import NativeModel


def graph_file(variant: Variant) -> str:
    """The name of a variant's graph in the folder of its model."""
    return f"model_{variant}.onnx"


def build(variant: Variant, native: NativeModel, about: ModelCard) -> onnx.ModelProto:
    """The graph of one variant, stamped with version 0; see serving_graph for inputs and outputs.

    Raises:
        ModelError: the model doesn't fit the variant: it is too deep, or splits by category.
    """
    if variant == "fp32":
        return fp32_graph(native, about)
    return compiled_graph(variant, native.forest(), about)


def fp32_graph(native: NativeModel, about: ModelCard) -> onnx.ModelProto:
    """The forest as onnxmltools converts it, with the outputs that Tezi serves."""
    forest = native.tree_node()
    del forest.input[:], forest.output[:]
    forest.input.append("features")
    forest.output.extend(["forest_label", "forest_probabilities"])
    forest.name = "forest"
    second = numpy_helper.from_array(np.array([1], dtype=np.int64), "second")
    positive = helper.make_node("Gather", ["forest_probabilities", "second"], ["positive"], axis=1)
    return serving_graph([forest, positive], [second], about=about, variant="fp32")


def compiled_graph(variant: Variant, forest: Forest, about: ModelCard) -> onnx.ModelProto:
    """The forest as look-ups in tables, with operators that every runtime has.

    INT8: leaves of two bytes, rows in chunks that stay in the cache. GPU: the forest's own leaves,
    all rows at once.

    Raises:
        ModelError: the forest is too deep.
    """
    try:
        compiled = _for_cpu(forest) if variant == "int8" else compile_for_gpu(forest)
    except ForestError as error:
        raise ModelError(
            f"No {variant.upper()} graph: {error} Train with --depth 8 or less."
        ) from error
    sigmoid = helper.make_node("Sigmoid", [compiled.output], ["positive"])
    nodes = [*compiled.nodes, sigmoid]
    return serving_graph(nodes, compiled.constants, about=about, variant=variant)


def _for_cpu(forest: Forest) -> Compiled:
    chosen = plan(forest)
    return compile_for_cpu(forest, chunk_rows=chosen.chunk_rows, sweep_from=chosen.sweep_from)
