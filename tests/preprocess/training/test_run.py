"""Training as a whole: what lies in a folder, and that it lies there complete or not at all."""

import pickle
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from preprocess.errors import TrainingError
from preprocess.market.values import Stock
from preprocess.settings import Settings
from preprocess.store import Store
from preprocess.training.evaluation import choose_threshold
from preprocess.training.folder import (
    PICKLE_FILE,
    STAGING_FOLDER,
    ModelFolder,
    model_ids,
    newest_model,
)
from preprocess.training.learner import Parameters
from preprocess.training.run import market_of, train, train_on
from preprocess.training.split import split_by_time
from tests.preprocess.training.samples import NOW, ORIGIN, dataset, fill

QUICK = Parameters(trees=10)


def test_everything_is_in_the_folder(trained: ModelFolder) -> None:
    names = {path.name for path in trained.path.iterdir()}
    model = {"xgboost": "model.ubj", "lightgbm": "model.txt"}[trained.about.family]
    assert names == {model, "model.pickle", "card.json", "card.md", "plots", "holdout.npz"}
    assert trained.path.name == trained.about.model_id
    assert trained.about.model_id.startswith(f"20260814T123015-{trained.about.family}-")


def test_the_hold_out_rows_are_validation_then_test(trained: ModelFolder) -> None:
    split, rows = split_by_time(dataset()), trained.holdout()
    assert rows.x[~rows.is_test].tobytes() == split.validation.x.tobytes()
    assert rows.x[rows.is_test].tobytes() == split.test.x.tobytes()
    assert rows.y[rows.is_test].tolist() == split.test.y.tolist()
    assert rows.codes[~rows.is_test].tolist() == split.validation.bse_codes.tolist()
    assert rows.days[rows.is_test].tolist() == split.test.days.tolist()


def test_the_pickle_answers_as_the_model(trained: ModelFolder) -> None:
    estimator = pickle.loads((trained.path / PICKLE_FILE).read_bytes())
    x = trained.holdout().x
    answers = estimator.predict_proba(x)[:, 1]
    assert np.array_equal(answers, trained.native().probabilities(x))


@pytest.mark.parametrize("trained", ["xgboost"], indirect=True)
def test_the_threshold_comes_from_validation_alone(trained: ModelFolder, tmp_path: Path) -> None:
    samples = dataset()
    split = split_by_time(samples)
    p = trained.native().probabilities(split.validation.x)
    assert trained.about.threshold == choose_threshold(p, split.validation.y)
    # Turn every label of the test part: model and threshold stay, only the figures move.
    turned = samples.y.copy()
    turned[samples.days >= split.test.days[0]] ^= 1
    parameters = Parameters(trained.about.family, trees=40, learning_rate=0.1)
    again = train_on(replace(samples, y=turned), tmp_path, parameters, origin=ORIGIN, now=NOW)
    assert again.about.threshold == trained.about.threshold
    assert again.path.name == trained.path.name
    assert again.about.metrics["test"] != trained.about.metrics["test"]


def test_the_same_within_a_second_is_refused(tmp_path: Path) -> None:
    first = train_on(dataset(), tmp_path, QUICK, origin=ORIGIN, now=NOW)
    with pytest.raises(TrainingError, match=f"{first.path.name} was trained a moment ago"):
        train_on(dataset(), tmp_path, QUICK, origin=ORIGIN, now=NOW)
    later = train_on(dataset(), tmp_path, QUICK, origin=ORIGIN, now=NOW + timedelta(seconds=1))
    assert newest_model(tmp_path) == later
    assert model_ids(tmp_path) == [first.path.name, later.path.name]
    assert list((tmp_path / STAGING_FOLDER).iterdir()) == []


def test_a_run_that_fails_while_writing_leaves_no_folder(tmp_path: Path) -> None:
    # A sector code that no JSON number can be: the card cannot be written, the model was already.
    broken = replace(ORIGIN, sector_codes={"Steel": object()})  # type: ignore[dict-item]
    with pytest.raises(TypeError):
        train_on(dataset(), tmp_path, QUICK, origin=broken, now=NOW)
    assert [path.name for path in tmp_path.iterdir()] == [STAGING_FOLDER]
    assert list((tmp_path / STAGING_FOLDER).iterdir()) == []
    assert model_ids(tmp_path) == []


def test_from_a_store(store: Store, tmp_path: Path) -> None:
    fill(store)
    settings = Settings(data_dir=tmp_path)
    model = train(store, settings, QUICK, target="up_5pct", now=NOW)
    assert model.path.parent == settings.models_dir
    assert model.about.market == "real"
    assert model.about.sector_codes == {"Steel": 0}
    assert sum(part.samples for part in model.about.parts.values()) > 150


def test_one_made_up_stock_makes_a_demo_model(store: Store, tmp_path: Path) -> None:
    fill(store)
    with store.transaction() as writer:
        writer.put_stocks([Stock("500003", isin="DEMO00000003")])
    model = train(store, Settings(data_dir=tmp_path), QUICK, target="up_5pct", now=NOW)
    assert model.about.market == "demo"
    assert "made-up" in model.about.limits[0]
    # A made-up stock without a sample is no part of the model.
    with store.transaction() as writer:
        writer.put_stocks([Stock("500003", isin="INE000000003"), Stock("900001", isin="DEMO1")])
    assert market_of(store, dataset(10)) == "real"
