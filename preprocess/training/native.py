"""A trained forest as its own library computes it: the reference for all variants."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from preprocess.errors import ModelError
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.forest.trees import Forest, Ints

Float32s = NDArray[np.float32]
Doubles = NDArray[np.float64]

# The newest that onnxmltools knows; only its tree node is used, which has not changed since.
_CONVERTER_OPSET = 15

# What a model may be that no graph computes, and how to train it for Tezi.
REFUSED = {
    "empty": "has no trees. Train it with fit() and at least one round",
    "booster": "is not a plain sum of trees (DART, linear). Train it with booster='gbtree'",
    "average": "averages its trees. Train it with boosting_type='gbdt'",
    "objective": (
        "does not have the logistic loss of two classes. Train it with the objective "
        "'binary:logistic' of XGBoost or 'binary' of LightGBM, whose sigmoid is 1"
    ),
    "missing": (
        "takes another number than NaN as missing, and Tezi's features are NaN where they are. "
        "Train it with missing=nan (XGBoost) or zero_as_missing=False (LightGBM)"
    ),
    "category": "splits by category. Train it with its columns as numbers",
    "linear": "has linear functions as leaves. Train it with linear_tree=False",
}


class NativeModel(Protocol):
    """One trained model of any family.

    It may be fitted on an array, in the manifest's order, or on a DataFrame whose columns are the
    manifest's in any order; all that is said here of features is in the manifest's order. Training
    that stopped early counts up to its best round.
    """

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

    def tree_node(self) -> onnx.NodeProto:
        """A TreeEnsembleClassifier node that computes the same from float32 features."""
        ...

    def forest(self) -> Forest:
        """The trees of the model, with the base of its margin."""
        ...

    def to_bytes(self) -> bytes:
        """The model in its library's own file format."""
        ...


def refuse(family: str, found: Mapping[str, bool]) -> None:
    """Refuse a model for which any of `found`, by their names in REFUSED, is true.

    Raises:
        ModelError: says which, and what to do.
    """
    for name, is_so in found.items():
        if is_so:
            raise ModelError(f"The {family} model {REFUSED[name]}, or with `tezi train`.")


def foreign(family: str, model: object) -> ModelError:
    """The error for an object that is not the library's."""
    return ModelError(
        f"{type(model).__name__} is no model of {family}. Train it with {family}, or with "
        "`tezi train`."
    )


def converted_tree_node(
    converter: str, model: Any, columns: Ints, **options: Any
) -> onnx.NodeProto:
    """The tree operator of the graph that a function of onnxmltools makes of a model.

    `columns` has the place in the manifest of each of the model's columns.
    """
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
    (features,) = (item for item in node.attribute if item.name == "nodes_featureids")
    features.ints[:] = columns[features.ints].tolist()
    return node
