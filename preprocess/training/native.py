"""A trained forest as its own library computes it: the reference for all variants."""

from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from preprocess.features.manifest import FEATURE_COUNT
from preprocess.forest.trees import Forest

Float32s = NDArray[np.float32]
Doubles = NDArray[np.float64]

# The newest that onnxmltools knows; only its tree node is used, which has not changed since.
_CONVERTER_OPSET = 15


class NativeModel(Protocol):
    """One trained model of any family."""

    def probabilities(self, x: Float32s) -> Doubles:
        """Probability of a positive label, [n], for features [n, 25]; NaN means missing."""
        ...

    @property
    def tolerance(self) -> float:
        """The most by which a graph's probability may differ from this model's due to rounding."""
        ...

    def gain(self) -> Doubles:
        """Total gain of each feature's splits, [25]."""
        ...

    def split_points(self) -> list[Doubles]:
        """The distinct thresholds of each of the 25 features, ascending."""
        ...

    def tree_node(self) -> onnx.NodeProto:
        """A TreeEnsembleClassifier node that computes the same from float32 features."""
        ...

    def forest(self) -> Forest:
        """The trees of the model, with the base of its margin.

        Raises:
            ModelError: the model does more than comparing float32 numbers and adding up leaves.
        """
        ...

    def to_bytes(self) -> bytes:
        """The model in its library's own file format."""
        ...


def converted_tree_node(converter: str, model: Any, **options: Any) -> onnx.NodeProto:
    """The tree operator of the graph that a function of onnxmltools makes of a model."""
    # Only the FP32 graph needs the converter; computing the others works without it.
    import onnxmltools  # noqa: PLC0415 - see above
    from onnxmltools.convert.common.data_types import FloatTensorType  # noqa: PLC0415 - see above

    graph = getattr(onnxmltools, converter)(
        model,
        initial_types=[("features", FloatTensorType([None, FEATURE_COUNT]))],
        target_opset=_CONVERTER_OPSET,
        **options,
    ).graph
    node: onnx.NodeProto = next(
        node for node in graph.node if node.op_type == "TreeEnsembleClassifier"
    )
    return node
