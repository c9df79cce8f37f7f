"""What XGBoost's forests are asked for."""

from pathlib import Path

import numpy as np
import pytest
import xgboost

from preprocess.errors import ModelError
from preprocess.training.xgboost_model import XGBoostModel
from tests.preprocess.models.graphs import forest_graph, graph_probabilities
from tests.preprocess.training.samples import dataset

SAMPLES = dataset(500)


def fitted(**parameters: object) -> XGBoostModel:
    chosen = {"n_estimators": 8, "max_depth": 4, "n_jobs": 1, "base_score": 0.2} | parameters
    return XGBoostModel(xgboost.XGBClassifier(**chosen).fit(SAMPLES.x, SAMPLES.y).get_booster())


@pytest.mark.parametrize("content", [b"", b"not a model", b"{}"])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.ubj"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not an XGBoost model"):
        XGBoostModel.load(path)
    with pytest.raises(ModelError, match="not an XGBoost model"):
        XGBoostModel.load(tmp_path / "absent.ubj")


def test_bytes_and_back(tmp_path: Path) -> None:
    model = fitted()
    path = tmp_path / "model.ubj"
    path.write_bytes(model.to_bytes())
    loaded = XGBoostModel.load(path)
    assert np.array_equal(loaded.probabilities(SAMPLES.x), model.probabilities(SAMPLES.x))
    assert loaded.to_bytes() == model.to_bytes()


def test_infinity_goes_where_the_largest_number_goes() -> None:
    model = fitted()
    x = SAMPLES.x[:2].copy()
    x[0, 10], x[1, 10] = np.inf, np.finfo(np.float32).max
    x[1, :10] = x[0, :10]
    x[1, 11:] = x[0, 11:]
    one, other = model.probabilities(x)
    assert one == other


def test_gain_is_of_the_feature_by_place() -> None:
    model = fitted(n_estimators=1, max_depth=1)
    points = model.forest().split_points
    (used,) = (place for place, of_feature in enumerate(points) if len(of_feature))
    assert np.flatnonzero(model.gain()).tolist() == [used]
    assert len(points[used]) == 1


@pytest.mark.parametrize(
    "parameters",
    [
        {"base_score": 0.5},
        {"base_score": 0.0001},
        {"base_score": 0.9999},
        {"base_score": None},  # XGBoost then estimates it
        {"n_estimators": 400, "learning_rate": 0.05},
    ],
)
def test_the_graph_starts_where_xgboost_starts(parameters: dict[str, object]) -> None:
    model = fitted(**parameters)
    answers = graph_probabilities(forest_graph(model), SAMPLES.x)
    # The margins agree to the bit; ONNX Runtime's logistic function rounds differently.
    assert np.abs(answers - model.probabilities(SAMPLES.x)).max() < 1.3e-7
