"""LightGBM: a row goes left where x <= threshold, compared in double."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import lightgbm
import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray

from preprocess.errors import ModelError
from preprocess.features.manifest import FEATURE_COUNT, manifest_places
from preprocess.forest.trees import LEAF, Forest, Ints, below_or_at, forest_of
from preprocess.training.native import (
    Doubles,
    Float32s,
    converted_tree_node,
    foreign,
    refuse,
)

# LightGBM treats every value of at most this size as zero before it compares.
ZERO_THRESHOLD = np.float32(1e-35)

# Bits of a node's decision_type in the model's text.
_CATEGORICAL = 1
_DEFAULT_LEFT = 2
_MISSING_TYPE = 12
_MISSING_IS_ZERO = 4
_MISSING_IS_NAN = 8


class LightGBMModel:
    """A binary LightGBM forest with logistic loss."""

    def __init__(self, model: lightgbm.Booster | lightgbm.LGBMModel) -> None:
        """Read a fitted booster, or the one of an estimator.

        Raises:
            ModelError: no graph can compute the model.
        """
        if isinstance(model, lightgbm.LGBMModel):
            refuse("LightGBM", {"empty": not model.__sklearn_is_fitted__()})
            model = model.booster_
        if not isinstance(model, lightgbm.Booster):
            raise foreign("LightGBM", model)
        self._booster = model
        # LightGBM writes, and predicts with, the rounds up to the best one.
        self._exact = float32_exact(model.model_to_string())
        names = model.feature_name()
        self._columns = manifest_places(names, owner="The LightGBM model", unnamed="Column_")
        _, *trees = self._exact.split("\nTree=")
        self._forest = forest_of(
            [_arrays(tree, self._columns) for tree in trees],
            n_features=FEATURE_COUNT,
            base=np.float32(0),
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file of `to_bytes`.

        Raises:
            ModelError: the file is missing or damaged.
        """
        try:
            # As text: the library's own file reader prints to the terminal when it fails.
            return cls(lightgbm.Booster(model_str=path.read_text(encoding="utf-8")))
        except (OSError, ValueError, lightgbm.basic.LightGBMError) as error:
            raise ModelError(f"{path} is not a LightGBM model: {error}") from error

    def probabilities(self, x: Float32s) -> Doubles:
        """See NativeModel."""
        return np.asarray(
            self._booster.predict(x[:, self._columns], num_threads=1), dtype=np.float64
        )

    @property
    def tolerance(self) -> float:
        """See NativeModel. LightGBM sums in double, a graph in float32, rounding at each tree."""
        return 1e-6 * max(1.0, math.sqrt(self._forest.trees / 100))

    def gain(self) -> Doubles:
        """See NativeModel."""
        gain = np.zeros(FEATURE_COUNT)
        gain[self._columns] = self._booster.feature_importance("gain")
        return gain

    def tree_node(self) -> onnx.NodeProto:
        """See NativeModel."""
        exact = lightgbm.Booster(model_str=self._exact)
        return converted_tree_node("convert_lightgbm", exact, self._columns, zipmap=False)

    def forest(self) -> Forest:
        """See NativeModel."""
        return self._forest

    def to_bytes(self) -> bytes:
        """See NativeModel."""
        return self._booster.model_to_string().encode()


def float32_exact(text: str) -> str:
    """A LightGBM model's text, rewritten so that float32 comparisons send every row the same way.

    Thresholds become float32 numbers, and each node states explicitly where NaN goes.

    Raises:
        ModelError: the model does more than comparing numbers and adding up leaves.
    """
    head, *trees = text.split("\nTree=")
    refuse(
        "LightGBM",
        {
            "objective": "\nobjective=binary sigmoid:1\n" not in head,
            "average": "\naverage_output\n" in head,
            "empty": not trees,
            "linear": "\nis_linear=1\n" in text,
        },
    )
    lines: list[str] = []
    thresholds: list[float] = []
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "tree_sizes":
            continue  # byte counts of the trees, now wrong; LightGBM does not need them
        rewritten = line
        if key == "threshold":
            thresholds = [float(word) for word in value.split()]
            rewritten = "threshold=" + " ".join(
                repr(float32_threshold(threshold)) for threshold in thresholds
            )
        elif key == "decision_type":
            decisions = zip(value.split(), thresholds, strict=True)
            rewritten = "decision_type=" + " ".join(
                str(_explicit_decision(int(word), threshold)) for word, threshold in decisions
            )
        lines.append(rewritten)
    return "\n".join(lines) + "\n"


def _fields(tree: str) -> Iterator[tuple[str, list[str]]]:
    for line in tree.splitlines():
        if not line:
            return  # the last tree is followed by other text
        key, separator, value = line.partition("=")
        if separator:
            yield key, value.split()


def _arrays(tree: str, columns: Ints) -> dict[str, ArrayLike]:
    """The nodes of a tree in a text of `float32_exact`, leaves last: leaf i is the child -1 - i."""
    fields = dict(_fields(tree))
    value = np.array(fields["leaf_value"], dtype=np.float64)
    leaves, inner = len(value), len(value) - 1

    def of_nodes(field: str, kind: type) -> NDArray[Any]:
        return np.append(np.array(fields.get(field, []), dtype=kind), [0] * leaves)

    def children(side: str) -> NDArray[Any]:
        child = np.array(fields.get(f"{side}_child", []), dtype=np.int64)
        return np.append(np.where(child < 0, inner - 1 - child, child), [LEAF] * leaves)

    return {
        "feature": columns[of_nodes("split_feature", np.int64)],
        "threshold": below_or_at(of_nodes("threshold", np.float64).astype(np.float32)),
        "left": children("left"),
        "right": children("right"),
        "nan_left": (of_nodes("decision_type", np.int64) & _DEFAULT_LEFT) != 0,
        "value": np.append(np.zeros(inner), value),
    }


def float32_threshold(threshold: float) -> float:
    """The float32 t for which x <= t decides every float32 x as LightGBM's `threshold` does.

    That is the largest float32 not above it, except near zero: the values that LightGBM treats as
    zero must all go where zero goes.
    """
    if 0.0 <= threshold <= ZERO_THRESHOLD:
        return float(ZERO_THRESHOLD)
    if -ZERO_THRESHOLD <= threshold < 0.0:
        return float(np.nextafter(-ZERO_THRESHOLD, np.float32(-np.inf)))
    with np.errstate(over="ignore"):
        nearest = np.float32(threshold)
    if float(nearest) > threshold:
        nearest = np.nextafter(nearest, np.float32(-np.inf))
    return float(nearest)


def _explicit_decision(decision: int, threshold: float) -> int:
    missing = decision & _MISSING_TYPE
    refuse(
        "LightGBM",
        {"category": bool(decision & _CATEGORICAL), "missing": missing == _MISSING_IS_ZERO},
    )
    if missing == _MISSING_IS_NAN:
        return decision
    # Where training saw no NaN, LightGBM treats NaN as zero.
    return _MISSING_IS_NAN | (_DEFAULT_LEFT if threshold >= 0.0 else 0)
