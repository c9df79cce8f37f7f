"""The forms in which a model is served: FP32, INT8 and GPU."""

import onnx

from preprocess.models.description import Described
from preprocess.models.fp32 import fp32_graph
from preprocess.models.native import NativeModel
from preprocess.models.walk import gpu_graph, int8_graph
from preprocess.repository.names import Variant


def graph_file(variant: Variant) -> str:
    """The name of a variant's graph in the folder of its model."""
    return f"model_{variant}.onnx"


def build(variant: Variant, native: NativeModel, about: Described) -> onnx.ModelProto:
    """The graph of one variant, stamped with version 0; what it takes and gives: see frame.framed.

    Raises:
        ModelError: the model does not suit the variant: it is too deep, or splits by category.
    """
    if variant == "fp32":
        return fp32_graph(native, about)
    return (int8_graph if variant == "int8" else gpu_graph)(native.forest(), about)
