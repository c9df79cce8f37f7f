"""`tezi predict-all` over a whole market, with the server up, and what the naive way would take."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from preprocess.models.folder import find_model
from preprocess.repository.stable import stable_version
from preprocess.settings import Settings
from tests.integration.stack import TEZI, environment, fresh_settings, running, tezi
from tests.performance.feature_ways import Chunks
from tests.performance.market import BenchMarket
from tests.performance.measure import Repetition, Times, timed_each
from tests.performance.naive import load_model, naive_features


@dataclass(frozen=True)
class Evening:
    """Seconds of each run, from the command's start to its end; rows stored by the last one.

    `peak_mb` is the most memory of any run, without Triton's.
    """

    seconds: Sequence[float]
    cpu_s: Sequence[float]
    peak_mb: float
    stored: int


def scored_stack(market: BenchMarket, home: Path) -> Settings:
    """Settings of a stack on the market, with a model that was trained on a small demo market."""
    own = fresh_settings(home)
    tezi(own, "demo", "--if-missing")
    settings = fresh_settings(home, database_url=f"sqlite:///{market.database}")
    tezi(settings, "features", "refresh")
    return settings


def model_file(settings: Settings) -> Path:
    """The pickled model that the stack serves."""
    newest = stable_version(settings.versions_dir)
    return find_model(settings.models_dir, newest.model_id).path / "model.pickle"


def predict_all(settings: Settings, days: Sequence[date]) -> Evening:
    """One evening run for each day, none of which is stored yet."""
    _forget(settings)
    seconds, cpu, peaks = [], [], []
    with running(settings):
        for day in days:
            wall_s, cpu_s, peak_mb = _command(settings, "predict-all", "--date", day.isoformat())
            seconds.append(wall_s)
            cpu.append(cpu_s)
            peaks.append(peak_mb)
    stored = _stored(settings, days[-1])
    _forget(settings)
    return Evening(seconds, cpu, max(peaks), stored)


def naive_scores(database: Path, model: Path, chunks: Chunks) -> Repetition:
    """Features and probability of one stock after another; the model is unpickled once."""
    loaded = load_model(model)
    rows: list[float] = []

    def score(pair: tuple[str, str]) -> None:
        row = np.array([naive_features(database, *pair)], dtype=np.float32)
        rows.append(float(loaded.predict_proba(row)[0, 1]))

    def repetition(number: int) -> Times:
        return timed_each(score, chunks[number])

    score(chunks[0][0])
    return repetition


def _command(settings: Settings, *arguments: str) -> tuple[float, float, float]:
    """Wall-clock seconds, seconds of CPU, and peak memory in MB of one `tezi` command."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(TEZI), *arguments],
        env=environment(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode != 0:
        raise RuntimeError(f"tezi {' '.join(arguments)} ended with {process.returncode}: {said}")
    wall_s = time.perf_counter() - began
    return wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6


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
