"""`tezi predict-all` over a whole market, with the server up, and what the naive way would take."""

import shutil
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

import numpy as np

from preprocess.repository.stable import stable_version
from preprocess.settings import Settings
from preprocess.training.folder import find_model
from tests.integration.stack import fresh_settings, running, tezi
from tests.performance.market import BenchMarket
from tests.performance.measure import Repetition, Times, timed_each
from tests.performance.naive import load_model, naive_features
from tests.performance.pairs import Chunks, Pair


def scored_stack(market: BenchMarket, home: Path) -> Settings:
    """Settings of a stack on the market, with a model that was trained on a small demo market."""
    own = fresh_settings(home)
    tezi(own, "demo", "--if-missing")
    return fresh_settings(home, database_url=f"sqlite:///{market.database}")


def model_file(settings: Settings) -> Path:
    """The pickled model that the stack serves."""
    newest = stable_version(settings.versions_dir)
    return find_model(settings.models_dir, newest.model_id).path / "model.pickle"


def predict_all(settings: Settings, days: Sequence[date]) -> tuple[list[float], int]:
    """Seconds of one evening run for each day, none stored before; the rows of the last one."""
    _forget(settings)
    seconds = []
    with running(settings):
        for day in days:
            began = time.perf_counter()
            tezi(settings, "predict-all", "--date", day.isoformat(), covered=False)
            seconds.append(time.perf_counter() - began)
    stored = _stored(settings, days[-1])
    _forget(settings)
    return seconds, stored


def naive_scores(database: Path, model: Path, chunks: Chunks) -> Repetition:
    """Features and probability of one stock after another; the model is unpickled once."""
    loaded = load_model(model)
    rows: list[float] = []

    def score(pair: Pair) -> None:
        row = np.array([naive_features(database, *pair)], dtype=np.float32)
        rows.append(float(loaded.predict_proba(row)[0, 1]))

    def repetition(number: int) -> Times:
        return timed_each(score, chunks[number])

    score(chunks[0][0])
    return repetition


def _stored(settings: Settings, day: date) -> int:
    with closing(sqlite3.connect(settings.database_path)) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM daily_predictions WHERE prediction_date = ?", (day.isoformat(),)
        ).fetchone()
        return int(count)


def _forget(settings: Settings) -> None:
    shutil.rmtree(settings.home / "reports" / "predictions", ignore_errors=True)
    with closing(sqlite3.connect(settings.database_path)) as connection, connection:
        connection.execute("DELETE FROM daily_predictions")
