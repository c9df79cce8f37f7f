"""Graphs of forests that were not trained by `tezi train`, and graphs that were tampered with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnx

from preprocess.features.manifest import FEATURE_NAMES, feature_hash
from preprocess.models.fp32 import fp32_graph
from preprocess.models.native import NativeModel


@dataclass(frozen=True)
class About:
    """What a graph says of itself."""

    model_id: str = "20260101T000000-xgboost-000000"
    family: str = "xgboost"
    threshold: float = 0.25
    features: tuple[str, ...] = FEATURE_NAMES
    feature_hash: str = feature_hash()


def forest_graph(native: NativeModel) -> onnx.ModelProto:
    """The FP32 graph of any forest."""
    return fp32_graph(native, About())  # type: ignore[arg-type]  # a card's few fields that it reads


def tampered(
    graph: onnx.ModelProto, attribute: str, change: Callable[[Any], None]
) -> onnx.ModelProto:
    """A copy in which one attribute of the forest was changed in place."""
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    forest = next(node for node in copy.graph.node if node.op_type == "TreeEnsembleClassifier")
    change(next(item for item in forest.attribute if item.name == attribute))
    return copy
