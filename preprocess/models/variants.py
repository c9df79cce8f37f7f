"""The forms in which a model is served: FP32, INT8 and GPU."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from preprocess.models.frame import framed
from preprocess.models.names import Variant
from preprocess.models.walk import gpu_graph, int8_graph
from preprocess.training.model_card import ModelCard
from preprocess.training.native import NativeModel


def graph_file(variant: Variant) -> str:
    """The name of a variant's graph in the folder of its model."""
    return f"model_{variant}.onnx"


def build(variant: Variant, native: NativeModel, about: ModelCard) -> onnx.ModelProto:
    """The graph of one variant, stamped with version 0; what it takes and gives: see frame.framed.

    Raises:
        ModelError: the model does not suit the variant: it is too deep, or splits by category.
    """
    if variant == "fp32":
        return fp32_graph(native, about)
    return (int8_graph if variant == "int8" else gpu_graph)(native.forest(), about)


def fp32_graph(native: NativeModel, about: ModelCard) -> onnx.ModelProto:
    """The forest as onnxmltools converts it, with the outputs that Tezi serves."""
    forest = native.tree_node()
    del forest.input[:], forest.output[:]
    forest.input.append("features")
    forest.output.extend(["forest_label", "forest_probabilities"])
    forest.name = "forest"
    second = numpy_helper.from_array(np.array([1], dtype=np.int64), "second")
    positive = helper.make_node("Gather", ["forest_probabilities", "second"], ["positive"], axis=1)
    return framed([forest, positive], [second], positive="positive", about=about, variant="fp32")
