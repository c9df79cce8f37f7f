"""ONNX's tree operators give the forest that their nodes describe."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from onnx import TensorProto, helper

from preprocess.forest.errors import ForestError
from preprocess.forest.tree_ensemble import forest_of_node
from preprocess.forest.trees import LEAF, Forest
from tests.forest.forests import FEATURES, forests, plain_margins, random_forest, random_rows


def attributes_of(forest: Forest, mode: str) -> dict[str, Any]:
    """A forest as the attributes of a TreeEnsembleRegressor."""
    tree = forest.tree_of_node
    first = forest.roots[tree]
    leaf = forest.is_leaf
    own = np.arange(forest.size) - first
    return {
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": own.tolist(),
        "nodes_featureids": forest.feature.tolist(),
        "nodes_values": forest.threshold.tolist(),
        "nodes_modes": np.where(leaf, "LEAF", mode).tolist(),
        "nodes_truenodeids": np.where(leaf, 0, forest.left - first).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, forest.right - first).tolist(),
        "nodes_missing_value_tracks_true": forest.nan_left.astype(int).tolist(),
        "target_treeids": tree[leaf].tolist(),
        "target_nodeids": own[leaf].tolist(),
        "target_ids": [0] * int(leaf.sum()),
        "target_weights": forest.value[leaf].tolist(),
        "n_targets": 1,
        "base_values": [float(forest.base)],
        "post_transform": "NONE",
    }


def node_of(forest: Forest, mode: str = "BRANCH_LT", **changes: Any) -> onnx.NodeProto:
    attributes = attributes_of(forest, mode) | changes
    return helper.make_node(
        "TreeEnsembleRegressor", ["features"], ["margin"], domain="ai.onnx.ml", **attributes
    )


def native_margins(node: onnx.NodeProto, x: NDArray[np.float32]) -> NDArray[np.float32]:
    graph = helper.make_graph(
        [node],
        "trees",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", FEATURES])],
        [helper.make_tensor_value_info("margin", TensorProto.FLOAT, ["N", 1])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, ir_version=8, opset_imports=opsets)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    answers: NDArray[np.float32] = session.run(["margin"], {"features": x})[0][:, 0]
    return answers


@given(forest=forests.filter(lambda forest: not np.isnan(forest.threshold).any()))
@settings(max_examples=30, deadline=None)
def test_a_forest_comes_back_as_it_was(forest: Forest) -> None:
    found = forest_of_node(node_of(forest), n_features=FEATURES)
    for name in ("roots", "feature", "left", "right", "nan_left", "value"):
        assert np.array_equal(getattr(found, name), getattr(forest, name)), name
    assert np.array_equal(found.threshold, np.where(forest.is_leaf, 0, forest.threshold))
    assert found.base == forest.base


def test_at_most_is_compiled_as_the_runtime_compares() -> None:
    forest = random_forest(20, 4)
    node = node_of(forest, "BRANCH_LEQ")
    x = random_rows(200)
    x[:20, 0] = np.inf
    found = plain_margins(forest_of_node(node, n_features=FEATURES), x)
    np.testing.assert_allclose(found, native_margins(node, x), rtol=0, atol=1e-6)
    assert np.abs(found - plain_margins(forest, x)).max() > 1e-3  # x < t would be another forest


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"aggregate_function": "AVERAGE"}, "add up to one number"),
        ({"nodes_truenodeids": [7, 0, 0]}, "a node that it does not have"),
        ({"nodes_modes": ["BRANCH_EQ", "LEAF", "LEAF"]}, "that ask BRANCH_EQ"),
        ({"target_ids": [0, 1]}, "add up to one number"),
    ],
)
def test_what_is_no_such_forest_is_refused(changes: dict[str, Any], says: str) -> None:
    stump = random_forest(1, 1, stop=0.0)
    with pytest.raises(ForestError, match=says):
        forest_of_node(node_of(stump, **changes), n_features=FEATURES)


def test_another_operator_is_refused() -> None:
    with pytest.raises(ForestError, match="MatMul is no tree operator"):
        forest_of_node(helper.make_node("MatMul", ["a", "b"], ["c"]), n_features=2)


def test_leaves_stay_leaves() -> None:
    found = forest_of_node(node_of(random_forest(3, 2)), n_features=FEATURES)
    assert (found.right[found.is_leaf] == LEAF).all()
