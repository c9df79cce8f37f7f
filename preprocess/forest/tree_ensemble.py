"""A forest out of ONNX's own tree operator (ai.onnx.ml TreeEnsembleClassifier or -Regressor)."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from preprocess.forest.errors import ForestError
from preprocess.forest.trees import LEAF, Forest, below_or_at

TREE_OPERATORS = ("TreeEnsembleClassifier", "TreeEnsembleRegressor")

_LESS = "BRANCH_LT"
_LESS_OR_EQUAL = "BRANCH_LEQ"


def forest_of_node(node: onnx.NodeProto, *, n_features: int) -> Forest:
    """The forest of a tree operator that gives one sum per row, like that of a binary classifier.

    Raises:
        ForestError: it is another operator, or one of several classes, or its trees ask anything
            but x < t or x <= t, or are summed otherwise than by adding.
    """
    if node.op_type not in TREE_OPERATORS:
        raise ForestError(f"{node.op_type} is no tree operator; {', '.join(TREE_OPERATORS)} are.")
    found = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    kind = "class" if node.op_type == "TreeEnsembleClassifier" else "target"
    if found.get("aggregate_function", b"SUM") != b"SUM" or len(set(found[f"{kind}_ids"])) > 1:
        raise ForestError("Only forests that add up to one number per row can be compiled.")
    modes = np.array([mode.decode() for mode in found["nodes_modes"]])
    leaf = modes == "LEAF"
    other = ~np.isin(modes, ["LEAF", _LESS, _LESS_OR_EQUAL])
    if other.any():
        raise ForestError(f"Trees that ask {modes[other][0]} cannot be compiled.")
    places = _Places(found["nodes_treeids"], found["nodes_nodeids"])
    size = len(modes)
    threshold = np.array(found["nodes_values"], dtype=np.float32)
    at_most = modes == _LESS_OR_EQUAL
    threshold[at_most] = below_or_at(threshold[at_most])
    value = np.zeros(size, dtype=np.float32)
    weighted = places.of(found[f"{kind}_treeids"], found[f"{kind}_nodeids"])
    np.add.at(value, weighted, np.array(found[f"{kind}_weights"], dtype=np.float32))
    tree_ids = np.array(found["nodes_treeids"])
    left = places.of(tree_ids[~leaf], np.array(found["nodes_truenodeids"])[~leaf])
    right = places.of(tree_ids[~leaf], np.array(found["nodes_falsenodeids"])[~leaf])
    children = np.full((2, size), LEAF, dtype=np.int32)
    children[0, ~leaf], children[1, ~leaf] = left, right
    has_parent = np.zeros(size, dtype=np.bool_)
    has_parent[np.concatenate([left, right])] = True
    missing_left = found.get("nodes_missing_value_tracks_true") or [0] * size
    return Forest(
        n_features=n_features,
        base=np.float32(sum(found.get("base_values", []))),
        roots=np.flatnonzero(~has_parent).astype(np.int32),
        feature=np.where(leaf, 0, found["nodes_featureids"]).astype(np.int32),
        threshold=np.where(leaf, np.float32(0), threshold),
        left=children[0],
        right=children[1],
        nan_left=np.array(missing_left, dtype=np.bool_) & ~leaf,
        value=np.where(leaf, value, np.float32(0)),
    )


class _Places:
    """Where a (tree, node) pair stands among the nodes."""

    def __init__(self, trees: list[int], nodes: list[int]) -> None:
        self._keys = _keys(trees, nodes)
        self._order = np.argsort(self._keys, kind="stable")

    def of(self, trees: Any, nodes: Any) -> NDArray[np.int32]:
        keys = _keys(trees, nodes)
        nearest = np.searchsorted(self._keys, keys, sorter=self._order)
        place: NDArray[np.int64] = self._order[np.minimum(nearest, len(self._order) - 1)]
        if not np.array_equal(self._keys[place], keys):
            raise ForestError("A tree names a node that it does not have.")
        return place.astype(np.int32)


def _keys(trees: Any, nodes: Any) -> NDArray[np.int64]:
    return np.asarray(trees, dtype=np.int64) << 32 | np.asarray(nodes, dtype=np.int64)
