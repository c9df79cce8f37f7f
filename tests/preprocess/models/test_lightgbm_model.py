"""LightGBM's forests: float32 comparisons that decide as its double ones do."""

from pathlib import Path

import lightgbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocess.errors import ModelError
from preprocess.training.lightgbm_model import (
    ZERO_THRESHOLD,
    LightGBMModel,
    float32_exact,
    float32_threshold,
)
from preprocess.training.native import Float32s
from tests.preprocess.models.graphs import forest_graph, graph_probabilities
from tests.preprocess.training.samples import dataset

SAMPLES = dataset(900)

any_float32 = st.floats(width=32, allow_nan=False)
small = st.floats(-1e-34, 1e-34)


def fitted(**parameters: object) -> LightGBMModel:
    chosen = {
        "n_estimators": 25,
        "min_child_samples": 3,
        "n_jobs": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    } | parameters
    estimator = lightgbm.LGBMClassifier(**chosen)  # type: ignore[arg-type]  # checked by LightGBM
    return LightGBMModel(estimator.fit(SAMPLES.x, SAMPLES.y).booster_)


def on_split_points(model: LightGBMModel) -> Float32s:
    """Rows with each split point of each feature, one step below it and one above."""
    rows: list[Float32s] = []
    for feature, points in enumerate(model.forest().split_points):
        for point in points.astype(np.float32):
            for value in (
                np.nextafter(point, np.float32(-np.inf)),
                point,
                np.nextafter(point, np.float32(np.inf)),
            ):
                row = SAMPLES.x[len(rows) % len(SAMPLES.x)].copy()
                row[feature] = value
                rows.append(row)
    return np.array(rows)


@given(st.one_of(st.floats(allow_nan=False), small), st.one_of(any_float32, small))
def test_a_float32_threshold_decides_as_the_double_one(threshold: float, value: float) -> None:
    with np.errstate(all="ignore"):
        near = np.float32(threshold)
        values = np.array(
            [value, near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.inf)],
            dtype=np.float32,
        )
    snapped = np.where(np.abs(values) <= ZERO_THRESHOLD, 0.0, values.astype(np.float64))
    exact = np.float32(float32_threshold(threshold))
    assert float(exact) == float32_threshold(threshold)
    assert ((values <= exact) == (snapped <= threshold)).all()


def test_the_rewritten_text_gives_the_same_answers_to_every_row() -> None:
    model = fitted()
    exact = lightgbm.Booster(model_str=float32_exact(model.to_bytes().decode()))
    for x in (SAMPLES.x, on_split_points(model)):
        assert np.array_equal(exact.predict(x), model.probabilities(x))


@pytest.mark.parametrize("use_missing", [True, False])
def test_missing_values_go_where_lightgbm_sends_them(use_missing: bool) -> None:
    model = fitted(use_missing=use_missing)
    random = np.random.default_rng(3)
    x = SAMPLES.x.copy()
    x[random.random(x.shape) < 0.5] = np.nan
    x[:, 7] = np.where(random.random(len(x)) < 0.5, np.float32(1e-35), -np.float32(1e-35))
    found = graph_probabilities(forest_graph(model), x)
    assert np.abs(found - model.probabilities(x)).max() < 1e-6


def test_nan_counts_as_zero_where_training_saw_none_whatever_the_node_s_default() -> None:
    text = fitted(use_missing=False).to_bytes().decode()
    lines = [line for line in text.splitlines() if not line.startswith("tree_sizes=")]
    to_the_right = "\n".join(
        line.replace("2", "0") if line.startswith("decision_type=") else line for line in lines
    )
    model = LightGBMModel(lightgbm.Booster(model_str=to_the_right + "\n"))
    x = SAMPLES.x.copy()
    x[::2, ::2] = np.nan
    found = graph_probabilities(forest_graph(model), x)
    assert np.abs(found - model.probabilities(x)).max() < 1e-6


@pytest.mark.parametrize("content", ["", "not a model", "tree\nversion=v4\n"])
def test_what_is_no_model_is_refused(
    tmp_path: Path, content: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.txt"
    path.write_text(content)
    with pytest.raises(ModelError, match="not a LightGBM model"):
        LightGBMModel.load(path)
    with pytest.raises(ModelError, match="not a LightGBM model"):
        LightGBMModel.load(tmp_path / "absent.txt")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="not a LightGBM model"):
        LightGBMModel.load(path)


def test_bytes_and_back(tmp_path: Path) -> None:
    model = fitted()
    path = tmp_path / "model.txt"
    path.write_bytes(model.to_bytes())
    loaded = LightGBMModel.load(path)
    assert np.array_equal(loaded.probabilities(SAMPLES.x), model.probabilities(SAMPLES.x))


def test_many_trees_may_round_further_than_few() -> None:
    assert fitted(n_estimators=5).tolerance == 1e-6
    assert fitted(n_estimators=400, max_depth=2).tolerance == pytest.approx(2e-6)
