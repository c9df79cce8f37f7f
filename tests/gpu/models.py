"""The forest that is measured, and fresh rows: made up, or out of a model's folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from preprocess.features.manifest import FEATURE_COUNT
from preprocess.models.native import Float32s, NativeModel
from preprocess.models.xgboost_model import XGBoostModel

SEED = 20260814
_TRAINING_ROWS = 30_000

# Predictions of a positive label, [n], for features [n, 25].
Predict = Callable[[Float32s], NDArray[Any]]


@dataclass(frozen=True)
class Subject:
    """A trained forest: its product form, its library on every core, its file for other libraries.

    `rows` gives fresh rows [n, 25]: no two calls have a row in common.
    """

    name: str
    suffix: str
    native: NativeModel
    on_all_cores: Predict
    rows: Callable[[int], Float32s]
    content: bytes
    file_name: str


def made_up(trees: int, threads: int, suffix: str) -> Subject:
    """An XGBoost forest of depth 6 on made-up rows with a signal in them."""
    random = np.random.default_rng(SEED)
    x = _rows(random, _TRAINING_ROWS)
    y = _labels(x, random)
    parameters = {
        "objective": "binary:logistic",
        "max_depth": 6,
        "learning_rate": min(5.0 / trees, 0.1),
        "max_bin": 255,
        "tree_method": "hist",
        "subsample": 0.7,
        "colsample_bytree": 0.5,
        "min_child_weight": 5.0,
        "reg_lambda": 5.0,
        "base_score": 0.12,
        "seed": SEED,
        "nthread": threads,
    }
    booster = xgboost.train(parameters, xgboost.DMatrix(x, label=y), num_boost_round=trees)
    fresh = np.random.default_rng(SEED + 1)
    return _xgboost_subject(
        f"{trees:,} trees on made-up rows", suffix, booster, lambda count: _rows(fresh, count)
    )


def from_folder(folder: Path, threads: int) -> Subject:
    """A model that `tezi train` wrote. Rows are drawn from its hold-out, feature by feature.

    Raises:
        FileNotFoundError: the folder has no model or no hold-out.
    """
    with np.load(folder / "holdout.npz", allow_pickle=False) as arrays:
        held_out: Float32s = arrays["x"]
    random = np.random.default_rng(SEED)

    def rows(count: int) -> Float32s:
        places = random.integers(0, len(held_out), (count, FEATURE_COUNT))
        return np.take_along_axis(held_out, places, axis=0)

    name = f"model {folder.name}"
    text = folder / "model.txt"
    if text.is_file():
        return _lightgbm_subject(name, text, rows, threads)
    booster = xgboost.Booster({"nthread": threads})
    booster.load_model(folder / "model.ubj")
    return _xgboost_subject(name, "model", booster, rows)


def _xgboost_subject(
    name: str, suffix: str, booster: xgboost.Booster, rows: Callable[[int], Float32s]
) -> Subject:
    return Subject(
        name=name,
        suffix=suffix,
        native=XGBoostModel(booster),
        on_all_cores=booster.inplace_predict,
        rows=rows,
        content=bytes(booster.save_raw("ubj")),
        file_name="model.ubj",
    )


def _lightgbm_subject(
    name: str, file: Path, rows: Callable[[int], Float32s], threads: int
) -> Subject:
    import lightgbm  # noqa: PLC0415 - may be absent

    from preprocess.models.lightgbm_model import LightGBMModel  # noqa: PLC0415 - may be absent

    booster = lightgbm.Booster(model_file=str(file))
    return Subject(
        name=name,
        suffix="model",
        native=LightGBMModel(booster),
        on_all_cores=lambda x: np.asarray(booster.predict(x, num_threads=threads)),
        rows=rows,
        content=file.read_bytes(),
        file_name="model.txt",
    )


def _rows(random: np.random.Generator, count: int) -> Float32s:
    x = random.standard_t(4, size=(count, FEATURE_COUNT)).astype(np.float32)
    # Whole numbers in some columns, and one value in fifty missing, as in the product's features.
    x[:, :5] = np.round(x[:, :5] * 3)
    x[random.random(x.shape) < 0.02] = np.nan
    return x


def _labels(x: Float32s, random: np.random.Generator) -> NDArray[np.int8]:
    known = np.nan_to_num(x)
    signal = known[:, 0] / 3 + known[:, 6] * known[:, 7] + np.abs(known[:, 8]) - known[:, 9]
    noisy = signal + random.normal(0.0, 2.0, len(x))
    label: NDArray[np.int8] = (noisy > np.quantile(noisy, 0.88)).astype(np.int8)
    return label
