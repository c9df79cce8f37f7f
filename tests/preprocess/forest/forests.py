"""Forests that nobody trained, with everything in them that a forest may have; and a plain walk."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from preprocess.forest.compiler import Compiled
from preprocess.forest.trees import LEAF, Forest

FEATURES = 4

LEAST = float(np.finfo(np.float32).smallest_subnormal)

# Many nodes ask about the same few numbers, among them those at which comparisons go wrong.
THRESHOLDS = [
    0.0,
    -0.0,
    1.0,
    float(np.nextafter(np.float32(1), np.float32(2))),
    -2.5,
    LEAST,
    -LEAST,
    float(np.finfo(np.float32).max),
    -float(np.finfo(np.float32).max),
    float("inf"),
    float("-inf"),
    float("nan"),
]
VALUES = [*THRESHOLDS, 0.5, 3.0, 2 * LEAST, float(np.finfo(np.float32).tiny)]

Node = tuple[Any, ...]

leaf_values = st.floats(-2.0, 2.0, width=32)
nodes = st.recursive(
    st.tuples(leaf_values),
    lambda children: st.tuples(
        st.integers(0, FEATURES - 1), st.sampled_from(THRESHOLDS), st.booleans(), children, children
    ),
    max_leaves=12,
)


def deepest(node: Node) -> int:
    """Comparisons on the longest way down."""
    return 0 if len(node) == 1 else 1 + max(deepest(node[3]), deepest(node[4]))


trees = nodes.filter(lambda node: deepest(node) <= 8)


def forest_of(roots: list[Node], *, base: float = 0.25, n_features: int = FEATURES) -> Forest:
    """Nested tuples (value,) or (feature, threshold, nan_left, left, right) as a Forest."""
    rows: list[list[Any]] = []

    def put(node: Node) -> int:
        place = len(rows)
        rows.append([0, 0.0, LEAF, LEAF, False, 0.0])
        if len(node) == 1:
            rows[place][5] = node[0]
        else:
            feature, threshold, nan_left, left, right = node
            rows[place] = [feature, threshold, put(left), put(right), nan_left, 0.0]
        return place

    starts = [put(root) for root in roots]
    feature, threshold, left, right, nan_left, value = zip(*rows, strict=True)
    return Forest(
        n_features=n_features,
        base=np.float32(base),
        roots=np.array(starts, dtype=np.int32),
        feature=np.array(feature, dtype=np.int32),
        threshold=np.array(threshold, dtype=np.float32),
        left=np.array(left, dtype=np.int32),
        right=np.array(right, dtype=np.int32),
        nan_left=np.array(nan_left, dtype=np.bool_),
        value=np.array(value, dtype=np.float32),
    )


forests = st.lists(trees, min_size=1, max_size=6).map(forest_of)


def plain_leaves(forest: Forest, row: NDArray[np.float32]) -> list[int]:
    """The leaf node that a row comes to in each tree, one comparison after the other."""
    found = []
    for root in forest.roots.tolist():
        node = root
        while forest.left[node] != LEAF:
            x, threshold = row[forest.feature[node]], forest.threshold[node]
            if np.isnan(x):
                goes_left = bool(forest.nan_left[node])
            else:
                goes_left = bool(np.isnan(threshold)) or bool(x < threshold)
            node = int(forest.left[node] if goes_left else forest.right[node])
        found.append(node)
    return found


def plain_margins(
    forest: Forest, x: NDArray[np.float32], value: NDArray[Any] | None = None
) -> NDArray[np.float64]:
    """The margins [n], added up in double; `value` stands in for the forest's own leaves."""
    leaves = forest.value if value is None else value
    return np.array(
        [float(forest.base) + sum(float(leaves[i]) for i in plain_leaves(forest, row)) for row in x]
    )


def model_of(compiled: Compiled, n_features: int = FEATURES) -> onnx.ModelProto:
    """A compiled forest as a model of its own: features in, margin out."""
    graph = helper.make_graph(
        [*compiled.nodes, helper.make_node("Identity", [compiled.output], ["margin"])],
        "forest",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", n_features])],
        [helper.make_tensor_value_info("margin", TensorProto.FLOAT, ["N", 1])],
        list(compiled.constants),
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])
    onnx.checker.check_model(model)
    return model


def session_of(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def margins(compiled: Compiled, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What ONNX Runtime computes, [n]."""
    (found,) = session_of(model_of(compiled)).run(["margin"], {"features": x})
    answers: NDArray[np.float32] = found[:, 0]
    return answers


def random_forest(
    trees: int, depth: int, *, seed: int = 1, stop: float = 0.2, n_features: int = FEATURES
) -> Forest:
    """Trees of up to `depth`; a node above the last level is a leaf with probability `stop`."""
    random = np.random.default_rng(seed)

    def grow(left: int) -> Node:
        if not left or random.random() < stop:
            return (float(np.float32(random.normal(0.0, 0.05))),)
        return (
            int(random.integers(n_features)),
            float(np.float32(round(random.normal(), 1))),
            bool(random.random() < 0.5),
            grow(left - 1),
            grow(left - 1),
        )

    return forest_of([grow(depth) for _ in range(trees)], n_features=n_features)


def random_rows(count: int, *, seed: int = 2, n_features: int = FEATURES) -> NDArray[np.float32]:
    """Rows of which a tenth is missing and many values are thresholds."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, n_features)).round(1).astype(np.float32)
    x[random.random(x.shape) < 0.1] = np.nan
    return x
