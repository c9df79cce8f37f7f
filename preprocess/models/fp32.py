"""The FP32 graph: the forest as onnxmltools converts it, with the outputs that Tezi serves."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from preprocess.errors import ModelError
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.models.card import ModelCard
from preprocess.models.folder import ModelFolder
from preprocess.models.native import Float32s, NativeModel
from preprocess.models.stamp import VERSION_INITIALIZER, VERSION_OUTPUT, version_initializer
from preprocess.models.verification import Verification, verify
from preprocess.repository.files import write_atomically

VARIANT = "fp32"
GRAPH_FILE = "model_fp32.onnx"
REPORT_FILE = "model_fp32.json"

# Triton 24.10 carries ONNX Runtime 1.19, which reads opsets to 21, ai.onnx.ml to 3 and IR to 10.
OPSET = 18
ML_OPSET = 3
IR_VERSION = 8


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
    """The graph of a model, stamped with version 0.

    In: `features` FP32 [N, 25]. Out: `probability` FP32 [N, 1], `model_version` INT64 [N, 1]. A
    row without a single feature is a stock that could not be computed: its probability is NaN.
    """
    forest = native.tree_node()
    del forest.input[:], forest.output[:]
    forest.input.append("features")
    forest.output.extend(["forest_label", "forest_probabilities"])
    forest.name = "forest"
    constants = [
        numpy_helper.from_array(np.array([1], dtype=np.int64), "one"),
        numpy_helper.from_array(np.array([[np.nan]], dtype=np.float32), "unknown"),
        version_initializer(0),
    ]
    nodes = [
        forest,
        helper.make_node("Gather", ["forest_probabilities", "one"], ["positive"], axis=1),
        helper.make_node("IsNaN", ["features"], ["missing"]),
        helper.make_node("Cast", ["missing"], ["missing_byte"], to=TensorProto.UINT8),
        helper.make_node("ReduceMin", ["missing_byte", "one"], ["all_missing"], keepdims=1),
        helper.make_node("Cast", ["all_missing"], ["no_features"], to=TensorProto.BOOL),
        helper.make_node("Where", ["no_features", "unknown", "positive"], ["probability"]),
        # The version does not depend on the row; the condition only gives it the batch's length.
        helper.make_node("Where", ["no_features", *[VERSION_INITIALIZER] * 2], [VERSION_OUTPUT]),
    ]
    graph = helper.make_graph(
        nodes,
        "tezi_fp32",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", FEATURE_COUNT])],
        [
            helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 1]),
            helper.make_tensor_value_info(VERSION_OUTPUT, TensorProto.INT64, ["N", 1]),
        ],
        constants,
    )
    model = helper.make_model(
        graph,
        ir_version=IR_VERSION,
        producer_name="tezi",
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
    )
    helper.set_model_props(model, metadata(about, VARIANT))
    onnx.checker.check_model(model)
    return model


def metadata(about: ModelCard, variant: str) -> dict[str, str]:
    """What a graph says of itself, as text."""
    return {
        "tezi.model_id": about.model_id,
        "tezi.family": about.family,
        "tezi.variant": variant,
        "tezi.threshold": repr(about.threshold),
        "tezi.features": json.dumps(about.features),
        "tezi.feature_hash": about.feature_hash,
    }
