"""Fitted estimators, boosters and model files of the two libraries, as native models."""

import hashlib
from pathlib import Path

from preprocess.errors import ModelError
from preprocess.models.card import Family
from preprocess.models.description import Described, Description
from preprocess.models.folder import ModelFolder
from preprocess.models.native import NativeModel


def native_model(model: object, family: Family) -> tuple[NativeModel, Described]:
    """A model and its description; a ModelFolder's is its card.

    `model` is a ModelFolder, the path of one or of a file in the library's format, a fitted
    XGBClassifier or LGBMClassifier, or a Booster.

    Raises:
        ModelError: it is none of these, is not of that family, or is damaged.
    """
    if isinstance(model, str | Path) and Path(model).is_dir():
        model = ModelFolder.open(Path(model))
    if isinstance(model, ModelFolder):
        if model.about.family != family:
            raise ModelError(f"{model.path} is a {model.about.family} model, and not {family}.")
        return model.native(), model.about
    native = _xgboost(model) if family == "xgboost" else _lightgbm(model)
    digest = hashlib.sha256(native.to_bytes()).hexdigest()
    return native, Description(f"{family}-{digest[:12]}", family)


def _xgboost(model: object) -> NativeModel:
    import xgboost  # noqa: PLC0415 - slow to import, and only one of the two is needed

    from preprocess.models.xgboost_model import XGBoostModel  # noqa: PLC0415 - the same

    if isinstance(model, str | Path):
        return XGBoostModel.load(Path(model))
    if isinstance(model, xgboost.XGBClassifier):
        model = model.get_booster()
    if isinstance(model, xgboost.Booster):
        return XGBoostModel(model)
    raise _wrong(model, "XGBClassifier")


def _lightgbm(model: object) -> NativeModel:
    import lightgbm  # noqa: PLC0415 - slow to import, and only one of the two is needed

    from preprocess.models.lightgbm_model import LightGBMModel  # noqa: PLC0415 - the same

    if isinstance(model, str | Path):
        return LightGBMModel.load(Path(model))
    if isinstance(model, lightgbm.LGBMClassifier):
        model = model.booster_
    if isinstance(model, lightgbm.Booster):
        return LightGBMModel(model)
    raise _wrong(model, "LGBMClassifier")


def _wrong(model: object, wanted: str) -> ModelError:
    return ModelError(
        f"A {type(model).__name__} cannot be converted: give a fitted {wanted}, a Booster, a model "
        "file or the folder of a model of `tezi train`."
    )
