"""The float32 graph that a CPU computes with ONNX Runtime: one TreeEnsembleClassifier node.

It is what onnxmltools writes for the same trees. Made here, so that a machine with a GPU needs no
converter.
"""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from preprocess.forest.trees import Forest

_OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
_IR_VERSION = 8


def tree_ensemble(forest: Forest) -> onnx.ModelProto:
    """In `features` FP32 [N, F], out `probability` FP32 [N, 2], the second of a positive label."""
    tree, place = _trees_and_places(forest)
    leaf = forest.is_leaf
    inner = ~leaf
    value = forest.value.astype(np.float64)
    # As XGBoost adds: the base margin first, then tree by tree.
    value[leaf & (tree == 0)] += float(forest.base)
    classifier = helper.make_node(
        "TreeEnsembleClassifier",
        ["features"],
        ["label", "probability"],
        domain="ai.onnx.ml",
        post_transform="LOGISTIC",
        classlabels_int64s=[0, 1],
        nodes_treeids=tree.tolist(),
        nodes_nodeids=place.tolist(),
        nodes_featureids=np.where(leaf, 0, forest.feature).tolist(),
        nodes_values=np.where(leaf, np.float32(0), forest.threshold).tolist(),
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LT").tolist(),
        nodes_truenodeids=_of_children(place, forest.left, inner),
        nodes_falsenodeids=_of_children(place, forest.right, inner),
        nodes_missing_value_tracks_true=(inner & forest.nan_left).astype(int).tolist(),
        class_treeids=tree[leaf].tolist(),
        class_nodeids=place[leaf].tolist(),
        class_ids=[0] * int(leaf.sum()),
        class_weights=value[leaf].astype(np.float32).tolist(),
    )
    features = helper.make_tensor_value_info(
        "features", TensorProto.FLOAT, ["N", forest.n_features]
    )
    probability = helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 2])
    graph = helper.make_graph([classifier], "tree_ensemble", [features], [probability])
    model = helper.make_model(graph, opset_imports=_OPSETS, ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    return model


def _trees_and_places(forest: Forest) -> tuple[Any, Any]:
    """Of each node the number of its tree, and its own within that tree, int64 [n] each.

    The operator wants a tree's nodes to be numbered from its root on.
    """
    tree = np.zeros(forest.size, dtype=np.int64)
    place = np.zeros(forest.size, dtype=np.int64)
    level, owner = forest.roots, np.arange(forest.trees)
    taken = np.zeros(forest.trees, dtype=np.int64)
    while len(level):
        tree[level] = owner
        # Nodes of a level that belong to one tree get the next free numbers of that tree.
        order = np.argsort(owner, kind="stable")
        level, owner = level[order], owner[order]
        counts = np.bincount(owner, minlength=forest.trees)
        firsts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        place[level] = taken[owner] + np.arange(len(level)) - firsts[owner]
        taken += counts
        inner = ~forest.is_leaf[level]
        level, owner = level[inner], owner[inner]
        level = np.stack([forest.left[level], forest.right[level]], axis=1).reshape(-1)
        owner = np.repeat(owner, 2)
    return tree, place


def _of_children(place: Any, children: Any, inner: Any) -> list[int]:
    found = np.zeros(len(place), dtype=np.int64)
    found[inner] = place[children[inner]]
    return list(found.tolist())
