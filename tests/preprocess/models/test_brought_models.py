"""Models that `tezi train` did not make: served as their library computes them, or refused."""

from collections.abc import Callable
from typing import Any, get_args

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from preprocess.errors import ModelError
from preprocess.features.manifest import FEATURE_NAMES
from preprocess.models.gate import tolerance
from preprocess.models.names import VARIANTS
from preprocess.models.variants import build
from preprocess.training.card import Family
from preprocess.training.lightgbm_model import LightGBMModel
from preprocess.training.native import Doubles, NativeModel
from preprocess.training.xgboost_model import XGBoostModel
from tests.preprocess.models.graphs import ABOUT, graph_probabilities
from tests.preprocess.training.samples import dataset

FAMILIES: tuple[Family, ...] = get_args(Family)
SAMPLES = dataset(700)
FRAME = pd.DataFrame(SAMPLES.x, columns=list(FEATURE_NAMES))
FITTED, STOPPED = slice(0, 500), slice(500, 700)
READERS: dict[Family, Callable[[Any], NativeModel]] = {
    "xgboost": XGBoostModel,
    "lightgbm": LightGBMModel,
}


def estimator(family: Family, **parameters: Any) -> Any:
    """An estimator of either library, not fitted."""
    chosen: dict[str, Any] = {
        "n_estimators": 12,
        "max_depth": 4,
        "learning_rate": 0.3,
        "n_jobs": 1,
    } | parameters
    if family == "xgboost":
        return xgboost.XGBClassifier(**chosen)
    chosen = {"verbosity": -1, "min_child_samples": 5} | chosen
    return lightgbm.LGBMClassifier(**chosen)


def probabilities_of(model: Any, x: Any) -> Doubles:
    positive: Doubles = model.predict_proba(x)[:, 1].astype(np.float64)
    return positive


def assert_served(native: NativeModel, expected: Doubles) -> None:
    """Every variant computes `expected` for the samples."""
    np.testing.assert_allclose(native.probabilities(SAMPLES.x), expected, rtol=0, atol=1e-7)
    for variant in VARIANTS:
        found = graph_probabilities(build(variant, native, ABOUT), SAMPLES.x)
        allowed = tolerance(variant, native, native.forest())
        np.testing.assert_allclose(found, expected, rtol=0, atol=allowed, err_msg=variant)
        assert np.array_equal(found >= ABOUT.threshold, expected >= ABOUT.threshold)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("names", [FEATURE_NAMES, FEATURE_NAMES[::-1], sorted(FEATURE_NAMES)])
def test_columns_of_a_frame_are_found_by_name(family: Family, names: list[str]) -> None:
    frame = FRAME[list(names)]
    model = estimator(family).fit(frame, SAMPLES.y)
    native = READERS[family](model)
    assert_served(native, probabilities_of(model, frame))
    in_manifest = estimator(family, colsample_bytree=1.0).fit(SAMPLES.x, SAMPLES.y)
    most = READERS[family](in_manifest).gain().argmax()
    assert native.gain().argmax() == most


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "columns",
    [
        FRAME.drop(columns="sector_code"),
        FRAME.assign(pe_ratio=1.0),
        FRAME.rename(columns={"rsi_14": "rsi14"}),
        FRAME.to_numpy()[:, :24],
        np.hstack([SAMPLES.x, SAMPLES.x[:, :1]]),
    ],
    ids=["fewer", "more", "another name", "fewer, without names", "more, without names"],
)
def test_other_columns_are_refused_with_both_lists(family: Family, columns: Any) -> None:
    model = estimator(family).fit(columns, SAMPLES.y)
    with pytest.raises(ModelError, match=r"fitted on .*Tezi computes") as error:
        READERS[family](model)
    fitted_on, computed = str(error.value).split("Tezi computes")
    if isinstance(columns, pd.DataFrame):
        assert all(name in fitted_on for name in columns.columns)
    else:
        assert f"{columns.shape[1]} columns" in fitted_on
    assert all(name in computed for name in FEATURE_NAMES)


def test_xgboost_that_stopped_early_is_served_at_its_best_round() -> None:
    model = estimator("xgboost", n_estimators=200, early_stopping_rounds=5).fit(
        SAMPLES.x[FITTED],
        SAMPLES.y[FITTED],
        eval_set=[(SAMPLES.x[STOPPED], SAMPLES.y[STOPPED])],
        verbose=False,
    )
    native = XGBoostModel(model)
    rounds = model.get_booster().num_boosted_rounds()
    assert native.forest().trees == model.best_iteration + 1 < rounds
    assert_served(native, probabilities_of(model, SAMPLES.x))


@pytest.mark.parametrize("keeps_later_rounds", [True, False])
def test_lightgbm_that_stopped_early_is_served_at_its_best_round(keeps_later_rounds: bool) -> None:
    rows = lightgbm.Dataset(SAMPLES.x[FITTED], SAMPLES.y[FITTED])
    booster = lightgbm.train(
        {"objective": "binary", "verbosity": -1, "num_threads": 1, "max_depth": 4},
        rows,
        200,
        valid_sets=[rows.create_valid(SAMPLES.x[STOPPED], SAMPLES.y[STOPPED])],
        callbacks=[lightgbm.early_stopping(5, verbose=False)],
        keep_training_booster=keeps_later_rounds,
    )
    assert (booster.num_trees() > booster.best_iteration) == keeps_later_rounds
    native = LightGBMModel(booster)
    assert native.forest().trees == booster.best_iteration
    assert_served(native, np.asarray(booster.predict(SAMPLES.x)))


@pytest.mark.parametrize(
    ("family", "parameters"),
    [
        ("xgboost", {"scale_pos_weight": 3.0}),
        ("xgboost", {"base_score": 0.9}),
        ("xgboost", {"n_estimators": 1}),
        ("xgboost", {"n_estimators": 3, "num_parallel_tree": 4, "subsample": 0.5}),
        ("xgboost", {"gamma": 1e9}),  # each tree is one leaf
        ("xgboost", {"gamma": 1e9, "reg_alpha": 1e9}),  # a leaf of 0
        ("xgboost", {"grow_policy": "lossguide", "max_leaves": 7, "max_depth": 0}),
        ("lightgbm", {"scale_pos_weight": 3.0}),
        ("lightgbm", {"is_unbalance": True}),
        ("lightgbm", {"boost_from_average": False}),
        ("lightgbm", {"n_estimators": 1}),
        ("lightgbm", {"min_child_samples": 100_000}),  # one tree of one leaf
        ("lightgbm", {"boosting_type": "dart"}),
        ("lightgbm", {"use_missing": False}),
        ("lightgbm", {"data_sample_strategy": "goss"}),
    ],
    ids=str,
)
def test_what_only_training_knows_changes_no_answer(
    family: Family, parameters: dict[str, Any]
) -> None:
    model = estimator(family, **parameters).fit(SAMPLES.x, SAMPLES.y)
    assert_served(READERS[family](model), probabilities_of(model, SAMPLES.x))


def fitted(family: Family, y: NDArray[Any] = SAMPLES.y, **parameters: Any) -> Callable[[], Any]:
    return lambda: estimator(family, **parameters).fit(FRAME.fillna(0.0), y)


def by_category(family: Family) -> Callable[[], Any]:
    codes = np.arange(len(FRAME)) % 5
    frame = FRAME.assign(sector_code=pd.Categorical(codes))
    options = {"enable_categorical": True} if family == "xgboost" else {}
    return lambda: estimator(family, **options).fit(frame, codes == 2)


CLASSES = np.arange(len(SAMPLES.y)) % 3


@pytest.mark.parametrize(
    ("family", "make", "reason"),
    [
        ("xgboost", lambda: estimator("xgboost"), "no trees"),
        ("xgboost", xgboost.Booster, "no trees"),
        ("xgboost", fitted("xgboost", n_estimators=0), "no trees"),
        ("xgboost", fitted("xgboost", booster="dart"), "booster='gbtree'"),
        ("xgboost", fitted("xgboost", booster="gblinear", verbosity=0), "booster='gbtree'"),
        ("xgboost", fitted("xgboost", CLASSES), "two classes"),
        ("xgboost", fitted("xgboost", np.eye(3)[CLASSES]), "two classes"),
        ("xgboost", fitted("xgboost", objective="binary:hinge"), "two classes"),
        ("xgboost", fitted("xgboost", objective="binary:logitraw"), "two classes"),
        ("xgboost", lambda: xgboost.XGBRegressor(n_estimators=2).fit(FRAME, SAMPLES.y), "two cl"),
        ("xgboost", fitted("xgboost", missing=0.0), "as missing"),
        ("xgboost", by_category("xgboost"), "by category"),
        ("xgboost", fitted("lightgbm"), "LGBMClassifier is no model of XGBoost"),
        ("lightgbm", lambda: estimator("lightgbm"), "no trees"),
        ("lightgbm", fitted("lightgbm", CLASSES), "two classes"),
        ("lightgbm", fitted("lightgbm", objective="cross_entropy"), "two classes"),
        ("lightgbm", fitted("lightgbm", objective="regression"), "two classes"),
        ("lightgbm", fitted("lightgbm", sigmoid=2.0), "two classes"),
        (
            "lightgbm",
            fitted("lightgbm", boosting_type="rf", bagging_freq=1, bagging_fraction=0.5),
            "averages its trees",
        ),
        ("lightgbm", fitted("lightgbm", linear_tree=True), "linear"),
        ("lightgbm", fitted("lightgbm", zero_as_missing=True), "as missing"),
        ("lightgbm", by_category("lightgbm"), "by category"),
        ("lightgbm", LogisticRegression, "LogisticRegression is no model of LightGBM"),
    ],
)
def test_what_no_graph_can_compute_is_refused_with_what_to_do(
    family: Family, make: Callable[[], Any], reason: str
) -> None:
    with pytest.raises(ModelError, match=reason) as error:
        READERS[family](make())
    assert "\n" not in str(error.value)
    assert "rain it with" in str(error.value)
