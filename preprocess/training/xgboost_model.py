"""XGBoost: a row goes left where x < threshold in float32; each node has a direction for NaN."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnx
import xgboost
from numpy.typing import ArrayLike

from preprocess.errors import ModelError
from preprocess.features.manifest import FEATURE_COUNT, manifest_places
from preprocess.forest.trees import Forest, Ints, forest_of
from preprocess.training.native import (
    Doubles,
    Float32s,
    converted_tree_node,
    foreign,
    refuse,
)


class XGBoostModel:
    """A binary XGBoost forest with logistic loss."""

    def __init__(self, model: xgboost.Booster | xgboost.XGBModel) -> None:
        """Read a fitted booster, or the one of an estimator.

        Only an estimator knows which number it takes as missing: where a booster was fitted with
        another than NaN, this cannot tell.

        Raises:
            ModelError: no graph can compute the model.
        """
        self._booster, learner = _fitted(model)
        best = self._booster.attr("best_iteration")
        self._rounds = int(best) + 1 if best else self._booster.num_boosted_rounds()
        names = learner["feature_names"] or [f"f{i}" for i in range(self._booster.num_features())]
        self._columns = manifest_places(names, owner="The XGBoost model", unnamed="f")
        forest = learner["gradient_booster"]["model"]
        used = forest["trees"][: forest["iteration_indptr"][self._rounds]]
        self._forest = forest_of(
            [_arrays(tree, self._columns) for tree in used],
            n_features=FEATURE_COUNT,
            base=_base_margin(learner["learner_model_param"]["base_score"]),
        )

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
        rows = np.clip(x[:, self._columns], -largest, largest)
        found = self._booster.predict(
            xgboost.DMatrix(rows, missing=np.nan, nthread=1),
            iteration_range=(0, self._rounds),
            validate_features=False,  # the names: `rows` has its columns in the model's order
        )
        return np.asarray(found, dtype=np.float64)

    @property
    def tolerance(self) -> float:
        """See NativeModel. The sums are identical; only the logistic function differs."""
        return 1e-6

    def gain(self) -> Doubles:
        """See NativeModel."""
        by_name: dict[str, Any] = self._used().get_score(importance_type="total_gain")
        gain = np.zeros(FEATURE_COUNT)
        gain[self._columns] = [by_name.get(f"f{i}", 0.0) for i in range(FEATURE_COUNT)]
        return gain

    def tree_node(self) -> onnx.NodeProto:
        """See NativeModel."""
        classifier = xgboost.XGBClassifier(n_jobs=1)
        classifier.load_model(self._used().save_raw("ubj"))
        node = converted_tree_node("convert_xgboost", classifier, self._columns)
        return _starting_from(node, self._forest.base)

    def forest(self) -> Forest:
        """See NativeModel."""
        return self._forest

    def _used(self) -> xgboost.Booster:
        """The rounds that count, without names of columns, which onnxmltools refuses."""
        used = self._booster[: self._rounds]
        used.feature_names = None
        return used

    def to_bytes(self) -> bytes:
        """See NativeModel."""
        return bytes(self._booster.save_raw("ubj"))


def _fitted(model: object) -> tuple[xgboost.Booster, dict[str, Any]]:
    """The booster of a model, and the model as XGBoost writes it in JSON."""
    missing = np.nan
    if isinstance(model, xgboost.XGBModel):
        refuse("XGBoost", {"empty": not model.__sklearn_is_fitted__()})
        missing, model = model.missing, model.get_booster()
    if not isinstance(model, xgboost.Booster):
        raise foreign("XGBoost", model)
    try:
        learner: dict[str, Any] = json.loads(bytes(model.save_raw("json")))["learner"]
    except xgboost.core.XGBoostError:  # not even the number of columns is known
        learner = {}
    refuse("XGBoost", {"empty": not learner})
    outputs, booster = learner["learner_model_param"], learner["gradient_booster"]
    refuse(
        "XGBoost",
        {
            "objective": (
                learner["objective"]["name"] != "binary:logistic"
                or int(outputs["num_class"]) > 0
                or int(outputs["num_target"]) > 1
            ),
            "booster": booster["name"] != "gbtree",
            "missing": not np.isnan(missing),
        },
    )
    trees = booster["model"]["trees"]
    categories = any(sum(tree["split_type"]) for tree in trees)
    refuse("XGBoost", {"empty": not trees, "category": categories})
    return model, learner


def _arrays(tree: Mapping[str, Any], columns: Ints) -> dict[str, ArrayLike]:
    """The nodes of a tree in a model's JSON."""
    # One array has the thresholds of inner nodes and the values of leaves.
    return {
        "feature": columns[tree["split_indices"]],
        "threshold": tree["split_conditions"],
        "left": tree["left_children"],
        "right": tree["right_children"],
        "nan_left": tree["default_left"],
        "value": tree["split_conditions"],
    }


def _base_margin(base_score: str) -> np.float32:
    # A forest without trees predicts exactly what XGBoost starts from.
    row = xgboost.DMatrix(np.zeros((1, FEATURE_COUNT), dtype=np.float32), label=[0], nthread=1)
    start = {"objective": "binary:logistic", "base_score": float(base_score.strip("[]"))}
    empty = xgboost.train(start, row, num_boost_round=0)
    margin: np.float32 = empty.predict(row, output_margin=True)[0]
    return margin


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
