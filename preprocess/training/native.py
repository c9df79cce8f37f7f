"""A trained forest as its own library computes it: the reference of every other form."""

from typing import Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from preprocess.forest.trees import Forest

Float32s = NDArray[np.float32]
Doubles = NDArray[np.float64]


class NativeModel(Protocol):
    """One trained model of any family."""

    def probabilities(self, x: Float32s) -> Doubles:
        """Probability of a positive label, [n], for features [n, 25]; NaN means missing."""
        ...

    @property
    def tolerance(self) -> float:
        """How far rounding alone may take a graph's probability from this model's."""
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
        """The trees that the model consists of, its margin's base included.

        Raises:
            ModelError: the model does more than compare float32 numbers and add up leaves.
        """
        ...

    def to_bytes(self) -> bytes:
        """The model in its library's own file format."""
        ...
