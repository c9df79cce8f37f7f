"""Graphs of forests that were not trained by `tezi train`, and graphs that were tampered with."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx

from preprocess.features.manifest import FEATURE_NAMES, feature_hash
from preprocess.models.variants import fp32_graph
from preprocess.models.verification import Known, run_graph
from preprocess.training.card import ModelCard
from preprocess.training.native import Doubles, Float32s, NativeModel

# The part of a card that graphs carry.
ABOUT = cast(
    ModelCard,
    SimpleNamespace(
        model_id="20260101T000000-xgboost-000000",
        family="xgboost",
        threshold=0.25,
        features=FEATURE_NAMES,
        feature_hash=feature_hash(),
    ),
)


def forest_graph(native: NativeModel) -> onnx.ModelProto:
    """The FP32 graph of any forest."""
    return fp32_graph(native, ABOUT)


def graph_probabilities(graph: onnx.ModelProto, x: Float32s) -> Doubles:
    """Probabilities [n] for features [n, 25]."""
    known = [Known("any", x, np.empty(0))]
    return run_graph(graph, known)[0]


def tampered(
    graph: onnx.ModelProto, attribute: str, change: Callable[[Any], None]
) -> onnx.ModelProto:
    """A copy in which one attribute of the forest was changed in place."""
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    forest = next(node for node in copy.graph.node if node.op_type == "TreeEnsembleClassifier")
    change(next(item for item in forest.attribute if item.name == attribute))
    return copy
