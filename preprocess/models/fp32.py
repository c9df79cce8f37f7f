"""The FP32 graph: the forest as onnxmltools converts it, with the outputs that Tezi serves."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from preprocess.models.description import Described
from preprocess.models.frame import framed
from preprocess.models.native import NativeModel

VARIANT = "fp32"


def fp32_graph(native: NativeModel, about: Described) -> onnx.ModelProto:
    """The graph of a model; what it takes and gives: see frame.framed."""
    forest = native.tree_node()
    del forest.input[:], forest.output[:]
    forest.input.append("features")
    forest.output.extend(["forest_label", "forest_probabilities"])
    forest.name = "forest"
    second = numpy_helper.from_array(np.array([1], dtype=np.int64), "second")
    positive = helper.make_node("Gather", ["forest_probabilities", "second"], ["positive"], axis=1)
    return framed([forest, positive], [second], positive="positive", about=about, variant=VARIANT)
