"""Trains a model on the store and writes its folder."""

import hashlib
import pickle  # noqa: TID251 - writes the plain baseline of the benchmarks, never reads one
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from preprocess.errors import TrainingError
from preprocess.files import staged_folder
from preprocess.market.values import Target
from preprocess.settings import Settings
from preprocess.store import Store
from preprocess.training.card import Market, PartName
from preprocess.training.dataset import Dataset, build_dataset
from preprocess.training.describe import Origin, describe
from preprocess.training.evaluation import choose_threshold
from preprocess.training.folder import (
    CARD_FILE,
    CARD_TEXT_FILE,
    MODEL_FILES,
    PICKLE_FILE,
    PLOTS_FOLDER,
    STAGING_FOLDER,
    Holdout,
    ModelFolder,
    sha256,
)
from preprocess.training.learner import Fitted, Parameters, fit
from preprocess.training.markdown import render
from preprocess.training.native import Doubles
from preprocess.training.plots import draw_plots
from preprocess.training.split import Split, require_both_classes, split_by_time

# ISINs of the demo market start with this; those of Indian shares start with INE.
DEMO_ISIN = "DEMO"


def train(
    store: Store, settings: Settings, parameters: Parameters, *, target: Target, now: datetime
) -> ModelFolder:
    """Train a model on every announcement in the store of known outcome, and write its folder.

    `target` is what it predicts; `now`, with its time zone, dates it.

    Raises:
        TrainingError: the store has too few samples for training and evaluation.
    """
    dataset = build_dataset(store, circuit_pct=settings.circuit_pct, target=target)
    origin = Origin(
        market=market_of(store, dataset),
        target=target,
        circuit_pct=settings.circuit_pct,
        sector_codes=store.sector_codes(),
    )
    return train_on(dataset, settings.models_dir, parameters, origin=origin, now=now)


def train_on(
    dataset: Dataset, models_dir: Path, parameters: Parameters, *, origin: Origin, now: datetime
) -> ModelFolder:
    """The same from a data set. The folder appears complete, or not at all.

    Raises:
        TrainingError: there are too few samples, or too few of one class.
    """
    split = split_by_time(dataset)
    require_both_classes(split)
    fitted = fit(parameters, split.train.x, split.train.y)
    probabilities: dict[PartName, Doubles] = {
        "validation": fitted.native.probabilities(split.validation.x),
        "test": fitted.native.probabilities(split.test.x),
    }
    content = fitted.native.to_bytes()
    model_id = _model_id(parameters, content, now)
    try:
        with staged_folder(models_dir / model_id, staging=models_dir / STAGING_FOLDER) as folder:
            files = _write_model(folder, MODEL_FILES[parameters.family], content, fitted, split)
            about = describe(
                fitted,
                split,
                probabilities,
                parameters=parameters,
                threshold=choose_threshold(probabilities["validation"], split.validation.y),
                origin=origin,
                trained_at=now.astimezone(UTC),
                model_id=model_id,
                hashes={file.name: sha256(file) for file in files} | {"data set": dataset.sha256()},
            )
            (folder / CARD_FILE).write_bytes(about.to_json())
            (folder / CARD_TEXT_FILE).write_text(render(about), encoding="utf-8")
            draw_plots(about, split.test.y, probabilities["test"], folder / PLOTS_FOLDER)
    except FileExistsError:
        raise TrainingError(
            f"The model {model_id} was trained a moment ago; the same data and parameters give "
            "the same model."
        ) from None
    return ModelFolder(models_dir / model_id, about)


def market_of(store: Store, dataset: Dataset) -> Market:
    """`demo` if any sample belongs to a made-up stock, otherwise `real`."""
    made_up = [
        stock.bse_code for stock in store.stocks() if (stock.isin or "").startswith(DEMO_ISIN)
    ]
    return "demo" if np.isin(dataset.bse_codes, made_up).any() else "real"


def _model_id(parameters: Parameters, content: bytes, now: datetime) -> str:
    digest = hashlib.sha256(content).hexdigest()
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{parameters.family}-{digest[:6]}"


def _write_model(
    folder: Path, name: str, content: bytes, fitted: Fitted, split: Split
) -> list[Path]:
    model, pickled = folder / name, folder / PICKLE_FILE
    model.write_bytes(content)
    pickled.write_bytes(pickle.dumps(fitted.estimator))
    validation, test = split.validation, split.test
    holdout = Holdout(
        x=np.concatenate([validation.x, test.x]),
        y=np.concatenate([validation.y, test.y]),
        codes=np.concatenate([validation.bse_codes, test.bse_codes]),
        days=np.concatenate([validation.days, test.days]),
        is_test=np.repeat([False, True], [len(validation), len(test)]),
    ).save(folder)
    return [model, pickled, holdout]
