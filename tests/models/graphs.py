"""Graphs of forests that were not trained by `tezi train`, and graphs that were tampered with."""

from collections.abc import Callable
from typing import Any

import onnx

from preprocess.models.description import Description
from preprocess.models.fp32 import fp32_graph
from preprocess.models.native import NativeModel

ABOUT = Description("20260101T000000-xgboost-000000", "xgboost", threshold=0.25)


def forest_graph(native: NativeModel) -> onnx.ModelProto:
    """The FP32 graph of any forest."""
    return fp32_graph(native, ABOUT)


def tampered(
    graph: onnx.ModelProto, attribute: str, change: Callable[[Any], None]
) -> onnx.ModelProto:
    """A copy in which one attribute of the forest was changed in place."""
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    forest = next(node for node in copy.graph.node if node.op_type == "TreeEnsembleClassifier")
    change(next(item for item in forest.attribute if item.name == attribute))
    return copy
