"""What every served graph has in common: inputs, outputs, version number and description."""

import json
from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from preprocess.errors import ModelError
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.training.card import ModelCard

# Triton 24.10 comes with ONNX Runtime 1.19, which reads opsets to 21, ai.onnx.ml to 3 and IR to 10.
OPSET = 18
ML_OPSET = 3
IR_VERSION = 8

VERSION_OUTPUT = "model_version"
VERSION_INITIALIZER = "tezi_model_version"


def serving_graph(
    nodes: Iterable[onnx.NodeProto],
    constants: Iterable[onnx.TensorProto],
    *,
    about: ModelCard,
    variant: str,
) -> onnx.ModelProto:
    """A served graph, stamped with version 0, around nodes that compute `positive`.

    `positive` FP32 [N, 1] is the probability of a positive label, computed from `features`.
    In: `features` FP32 [N, 25]. Out: `probability` FP32 [N, 1], `model_version` INT64 [N, 1]. A
    row without any feature is a stock that could not be computed: its probability is NaN. Zero
    rows are allowed.
    """
    own_constants = [
        numpy_helper.from_array(np.array([1], dtype=np.int64), "one"),
        numpy_helper.from_array(np.array([[np.nan]], dtype=np.float32), "unknown"),
        version_initializer(0),
    ]
    own_nodes = [
        helper.make_node("IsNaN", ["features"], ["missing"]),
        helper.make_node("Cast", ["missing"], ["missing_byte"], to=TensorProto.UINT8),
        helper.make_node("ReduceMin", ["missing_byte", "one"], ["all_missing"], keepdims=1),
        helper.make_node("Cast", ["all_missing"], ["no_features"], to=TensorProto.BOOL),
        helper.make_node("Where", ["no_features", "unknown", "positive"], ["probability"]),
        # The version does not depend on the row; the condition only gives it the batch's length.
        helper.make_node("Where", ["no_features", *[VERSION_INITIALIZER] * 2], [VERSION_OUTPUT]),
    ]
    graph = helper.make_graph(
        [*nodes, *own_nodes],
        f"tezi_{variant}",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", FEATURE_COUNT])],
        [
            helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 1]),
            helper.make_tensor_value_info(VERSION_OUTPUT, TensorProto.INT64, ["N", 1]),
        ],
        [*constants, *own_constants],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    if any(node.domain for node in graph.node):
        opsets.append(helper.make_opsetid("ai.onnx.ml", ML_OPSET))
    model = helper.make_model(
        graph, ir_version=IR_VERSION, producer_name="tezi", opset_imports=opsets
    )
    helper.set_model_props(model, description(about, variant))
    onnx.checker.check_model(model)
    return model


def description(about: ModelCard, variant: str) -> dict[str, str]:
    """The metadata of a graph: which model, features and threshold it belongs to."""
    return {
        "tezi.model_id": about.model_id,
        "tezi.family": about.family,
        "tezi.variant": variant,
        "tezi.threshold": repr(about.threshold),
        "tezi.features": json.dumps(about.features),
        "tezi.feature_hash": about.feature_hash,
    }


def version_initializer(version: int) -> onnx.TensorProto:
    """The constant that the graph's `model_version` output repeats for every row."""
    return numpy_helper.from_array(np.array([[version]], dtype=np.int64), VERSION_INITIALIZER)


def stamp_version(graph: onnx.ModelProto, version: int) -> onnx.ModelProto:
    """A copy of an exported graph that outputs `version` as model_version for every row.

    Raises:
        ModelError: the graph has no version constant; `tezi export` did not make it.
    """
    stamped = onnx.ModelProto()
    stamped.CopyFrom(graph)
    for constant in stamped.graph.initializer:
        if constant.name == VERSION_INITIALIZER:
            constant.CopyFrom(version_initializer(version))
            return stamped
    raise ModelError("The graph has no model version to set: make it with `tezi export`.")
