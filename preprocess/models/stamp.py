"""The version number inside a graph, by which an answer says what computed it."""

import numpy as np
import onnx
from onnx import numpy_helper

from preprocess.errors import ModelError

VERSION_OUTPUT = "model_version"
VERSION_INITIALIZER = "tezi_model_version"


def version_initializer(version: int) -> onnx.TensorProto:
    """The constant that the graph's `model_version` output repeats for every row."""
    return numpy_helper.from_array(np.array([[version]], dtype=np.int64), VERSION_INITIALIZER)


def stamp_version(graph: onnx.ModelProto, version: int) -> onnx.ModelProto:
    """A copy of an exported graph that answers `version` as its model_version, row by row.

    Raises:
        ModelError: the graph has no place for a version; it was not made by `tezi export`.
    """
    stamped = onnx.ModelProto()
    stamped.CopyFrom(graph)
    for constant in stamped.graph.initializer:
        if constant.name == VERSION_INITIALIZER:
            constant.CopyFrom(version_initializer(version))
            return stamped
    raise ModelError("The graph has no model version to set: make it with `tezi export`.")
