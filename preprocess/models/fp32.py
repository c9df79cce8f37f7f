"""The FP32 graph: the forest as onnxmltools converts it, with the outputs that Tezi serves."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from preprocess.errors import ModelError
from preprocess.models.card import ModelCard
from preprocess.models.folder import ModelFolder
from preprocess.models.frame import framed
from preprocess.models.native import Float32s, NativeModel
from preprocess.models.verification import Verification, verify
from preprocess.repository.files import write_atomically

VARIANT = "fp32"
GRAPH_FILE = "model_fp32.onnx"
REPORT_FILE = "model_fp32.json"


def export_fp32(model: ModelFolder) -> Path:
    """Write `model_fp32.onnx` into the model's folder, once it is shown to compute the same.

    The report of that comparison lies beside it.

    Raises:
        ModelError: the model is damaged, or the graph's answers are not the model's.
    """
    graph, verification = verified_graph(model.native(), model.about, model.holdout().x)
    path = model.path / GRAPH_FILE
    write_atomically(path, graph.SerializeToString(deterministic=True))
    write_atomically(model.path / REPORT_FILE, verification.to_json())
    return path


def verified_graph(
    native: NativeModel, about: ModelCard, holdout: Float32s
) -> tuple[onnx.ModelProto, Verification]:
    """The FP32 graph of a model, and the comparison of the two on `holdout` and harder rows.

    Raises:
        ModelError: the graph's answers are not the model's; the message shows where.
    """
    graph = fp32_graph(native, about)
    verification = verify(graph, native, holdout=holdout, threshold=about.threshold)
    if not verification.passed:
        raise ModelError(
            f"The graph of {about.model_id} does not compute what the model computes, so it is "
            f"not written:\n{verification.table()}"
        )
    return graph, verification


def fp32_graph(native: NativeModel, about: ModelCard) -> onnx.ModelProto:
    """The graph of a model; what it takes and gives: see frame.framed."""
    forest = native.tree_node()
    del forest.input[:], forest.output[:]
    forest.input.append("features")
    forest.output.extend(["forest_label", "forest_probabilities"])
    forest.name = "forest"
    second = numpy_helper.from_array(np.array([1], dtype=np.int64), "second")
    positive = helper.make_node("Gather", ["forest_probabilities", "second"], ["positive"], axis=1)
    return framed([forest, positive], [second], positive="positive", about=about, variant=VARIANT)
