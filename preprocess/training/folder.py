"""The folders of trained models: `<models folder>/<model id>/`, complete or absent."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocess.errors import ModelError
from preprocess.training.card import Family, ModelCard
from preprocess.training.native import Float32s, NativeModel

CARD_FILE = "card.json"
CARD_TEXT_FILE = "card.md"
HOLDOUT_FILE = "holdout.npz"
PLOTS_FOLDER = "plots"
STAGING_FOLDER = ".staging"

# The plain baseline of benchmarks. Tezi never reads it: unpickling runs the code inside.
PICKLE_FILE = "model.pickle"

MODEL_FILES: dict[Family, str] = {"xgboost": "model.ubj", "lightgbm": "model.txt"}


@dataclass(frozen=True, slots=True)
class Holdout:
    """The rows that the model was not fitted on, by announcement date.

    `x` float32 [n, 25], `y` int8 [n], `codes` text [n], `days` day numbers int32 [n], `is_test`
    bool [n]: the test part, otherwise validation.
    """

    x: Float32s
    y: NDArray[np.int8]
    codes: NDArray[np.str_]
    days: NDArray[np.int32]
    is_test: NDArray[np.bool_]

    def save(self, folder: Path) -> Path:
        """Write the rows into a model's folder; returns the file's path."""
        path = folder / HOLDOUT_FILE
        np.savez_compressed(
            path, x=self.x, y=self.y, codes=self.codes, days=self.days, is_test=self.is_test
        )
        return path


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """One trained model on disk; `about` is its card."""

    path: Path
    about: ModelCard

    @classmethod
    def open(cls, path: Path) -> "ModelFolder":
        """Read the card of a model's folder.

        Raises:
            ModelError: the card is missing or damaged, or the feature list is not the manifest.
        """
        try:
            document = (path / CARD_FILE).read_bytes()
        except OSError as error:
            raise ModelError(
                f"{path} contains no model: {error}. Make one with `tezi train`."
            ) from error
        return cls(path, ModelCard.from_json(document))

    @property
    def card(self) -> dict[str, Any]:
        """The card as a plain document."""
        return self.about.document()

    def native(self) -> NativeModel:
        """The model in its own library.

        Raises:
            ModelError: the file is missing, or differs from the one that was trained.
        """
        path = self._verified(MODEL_FILES[self.about.family])
        # These libraries take seconds to import, and most callers only need the card.
        if self.about.family == "xgboost":
            from preprocess.training.xgboost_model import XGBoostModel  # noqa: PLC0415 - see above

            return XGBoostModel.load(path)
        from preprocess.training.lightgbm_model import LightGBMModel  # noqa: PLC0415 - see above

        return LightGBMModel.load(path)

    def holdout(self) -> Holdout:
        """The validation and test rows.

        Raises:
            ModelError: the file is missing, or differs from the one that was written.
        """
        with np.load(self._verified(HOLDOUT_FILE), allow_pickle=False) as arrays:
            return Holdout(**arrays)

    def _verified(self, name: str) -> Path:
        path = self.path / name
        try:
            found = sha256(path)
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error}. Train again.") from error
        if found != self.about.hashes.get(name):
            raise ModelError(
                f"{path} is not the file that was trained (its SHA-256 is {found}): restore the "
                "original, or train again with `tezi train`."
            )
        return path


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_ids(models_dir: Path) -> list[str]:
    """Ids of the trained models, oldest first.

    An id starts with the second of the training; within a second the card written last is newer.
    """
    if not models_dir.is_dir():
        return []
    cards = [entry / CARD_FILE for entry in models_dir.iterdir() if (entry / CARD_FILE).is_file()]
    cards.sort(key=lambda card: (card.parent.name.partition("-")[0], card.stat().st_mtime_ns))
    return [card.parent.name for card in cards]


def newest_model(models_dir: Path) -> ModelFolder:
    """The model trained last.

    Raises:
        ModelError: there is none, or its card cannot be read.
    """
    ids = model_ids(models_dir)
    if not ids:
        raise ModelError(f"There is no trained model in {models_dir}: make one with `tezi train`.")
    return ModelFolder.open(models_dir / ids[-1])


def find_model(models_dir: Path, model_id: str) -> ModelFolder:
    """The model with that id.

    Raises:
        ModelError: there is none (the message lists the existing ones), or its card is damaged.
    """
    ids = model_ids(models_dir)
    if model_id not in ids:
        there_are = ", ".join(ids) if ids else "none; make one with `tezi train`"
        raise ModelError(f"There is no model {model_id!r} in {models_dir}; there are: {there_are}.")
    return ModelFolder.open(models_dir / model_id)
