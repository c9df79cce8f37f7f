"""XGBoost: a row goes left where x < threshold in float32; each node has a direction for NaN."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import onnx
import xgboost
from numpy.typing import NDArray

from preprocess.errors import ModelError
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.forest.trees import LEAF, Forest
from preprocess.training.native import Doubles, Float32s, converted_tree_node

Number = TypeVar("Number", bound=np.generic)


class XGBoostModel:
    """A binary XGBoost forest with logistic loss."""

    def __init__(self, booster: xgboost.Booster) -> None:
        self._booster = booster

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file of `to_bytes`.

        Raises:
            ModelError: the file is missing or damaged.
        """
        booster = xgboost.Booster({"nthread": 1})
        try:
            booster.load_model(path)
        except (OSError, ValueError, xgboost.core.XGBoostError) as error:
            first_line = str(error).partition("\n")[0]
            raise ModelError(f"{path} is not an XGBoost model: {first_line}") from error
        return cls(booster)

    def probabilities(self, x: Float32s) -> Doubles:
        """See NativeModel. Infinities become the largest float32, because XGBoost refuses them."""
        largest = np.finfo(np.float32).max
        rows = xgboost.DMatrix(np.clip(x, -largest, largest), missing=np.nan, nthread=1)
        return np.asarray(self._booster.predict(rows), dtype=np.float64)

    @property
    def tolerance(self) -> float:
        """See NativeModel. The sums are identical; only the logistic function differs."""
        return 1e-6

    def gain(self) -> Doubles:
        """See NativeModel."""
        by_name: dict[str, Any] = self._booster.get_score(importance_type="total_gain")
        return np.array([float(by_name.get(f"f{i}", 0.0)) for i in range(FEATURE_COUNT)])

    def split_points(self) -> list[Doubles]:
        """See NativeModel."""
        forest = self.forest()
        return [
            np.unique(forest.threshold[~forest.is_leaf & (forest.feature == feature)]).astype(float)
            for feature in range(FEATURE_COUNT)
        ]

    def tree_node(self) -> onnx.NodeProto:
        """See NativeModel."""
        classifier = xgboost.XGBClassifier(n_jobs=1)
        classifier.load_model(self._booster.save_raw("ubj"))
        node = converted_tree_node("convert_xgboost", classifier)
        return _starting_from(node, self._base_margin())

    def forest(self) -> Forest:
        """See NativeModel."""
        learner = json.loads(bytes(self._booster.save_raw("json")))["learner"]
        trees = learner["gradient_booster"]["model"]["trees"]
        if any(sum(tree["split_type"]) for tree in trees):
            raise ModelError(
                "The XGBoost model splits by category, which Tezi's graphs cannot do: train it "
                "with `tezi train`."
            )
        begins = np.cumsum([0, *(len(tree["left_children"]) for tree in trees)])[:-1]
        left, right = (
            _joined(
                [
                    np.where(np.array(tree[side]) == LEAF, LEAF, np.array(tree[side]) + begin)
                    for tree, begin in zip(trees, begins, strict=True)
                ],
                np.int32,
            )
            for side in ("left_children", "right_children")
        )
        leaf = left == LEAF
        # One array has the thresholds of inner nodes and the values of leaves.
        number = _joined([tree["split_conditions"] for tree in trees], np.float32)
        return Forest(
            n_features=FEATURE_COUNT,
            base=self._base_margin(),
            roots=begins.astype(np.int32),
            feature=_joined([tree["split_indices"] for tree in trees], np.int32),
            threshold=np.where(leaf, np.float32(0), number),
            left=left,
            right=right,
            nan_left=_joined([tree["default_left"] for tree in trees], np.bool_),
            value=np.where(leaf, number, np.float32(0)),
        )

    def _base_margin(self) -> np.float32:
        # A forest without trees predicts exactly what XGBoost starts from.
        config = json.loads(self._booster.save_config())
        base_score: str = config["learner"]["learner_model_param"]["base_score"]
        row = xgboost.DMatrix(np.zeros((1, FEATURE_COUNT), dtype=np.float32), label=[0], nthread=1)
        start = {"objective": "binary:logistic", "base_score": float(base_score.strip("[]"))}
        empty = xgboost.train(start, row, num_boost_round=0)
        margin: np.float32 = empty.predict(row, output_margin=True)[0]
        return margin

    def to_bytes(self) -> bytes:
        """See NativeModel."""
        return bytes(self._booster.save_raw("ubj"))


def _joined(parts: Sequence[Any], kind: type[Number]) -> NDArray[Number]:
    return np.concatenate([np.asarray(part, dtype=kind) for part in parts])


def _starting_from(node: onnx.NodeProto, margin: np.float32) -> onnx.NodeProto:
    """The node with `margin` added to the leaves of its first tree, and without a base value.

    XGBoost starts with the base margin and adds tree by tree in float32. So does this: a base
    value added at the end would round differently. (The converter's base value is also wrong where
    the first tree is a bare leaf: it then stays a probability.)
    """
    kept = {item.name: item for item in node.attribute if item.name != "base_values"}
    trees = np.array(kept["class_treeids"].ints)
    leaves = np.array(kept["class_weights"].floats, dtype=np.float32)
    leaves[trees == 0] += margin
    kept["class_weights"] = onnx.helper.make_attribute("class_weights", leaves.tolist())
    started = onnx.NodeProto()
    started.CopyFrom(node)
    del started.attribute[:]
    started.attribute.extend(kept.values())
    return started
