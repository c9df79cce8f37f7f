"""Describes a fitted model in a model card."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata

import lightgbm
import numpy as np
import onnx
import onnxmltools
import sklearn
import xgboost

from preprocess.features.manifest import FEATURE_NAMES, feature_hash
from preprocess.market.calendar import from_day_number
from preprocess.market.values import Target
from preprocess.training.card import (
    LabelDefinition,
    Market,
    ModelCard,
    Part,
    PartName,
)
from preprocess.training.dataset import Dataset
from preprocess.training.evaluation import (
    BASELINE_RULES,
    THRESHOLD_RULE,
    baseline_scores,
    calibration,
    scores,
)
from preprocess.training.learner import Fitted, Parameters
from preprocess.training.native import Doubles
from preprocess.training.split import Split

_LIMITS = (
    "It predicts what happens on one day, the first trading day after quarterly results. It says "
    "nothing about other days, how long a rise lasts, or whether shares can be bought at the "
    "price limit.",
    "The stocks are those for which data were imported. Stocks delisted before then are missing, "
    "and results include later restatements; they are not as first published.",
    "An announcement without a recorded date gives no sample; features then treat its results as "
    "known from the regulator's filing deadline on.",
    "It was evaluated on one period. Markets change: train again as new results come in.",
    "It is not investment advice.",
)
_MADE_UP = (
    "Trained on a made-up demo market. Its figures show that the software works and say nothing "
    "about any real stock."
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the samples come from."""

    market: Market
    target: Target
    circuit_pct: float
    sector_codes: Mapping[str, int]


def describe(
    fitted: Fitted,
    split: Split,
    probabilities: Mapping[PartName, Doubles],
    *,
    parameters: Parameters,
    threshold: float,
    origin: Origin,
    trained_at: datetime,
    model_id: str,
    hashes: Mapping[str, str],
) -> ModelCard:
    """The card of a fitted model, from its probabilities on validation and test."""
    evaluated: dict[PartName, Dataset] = {"validation": split.validation, "test": split.test}
    return ModelCard(
        model_id=model_id,
        family=parameters.family,
        market=origin.market,
        trained_at=trained_at.isoformat(timespec="seconds"),
        parameters=fitted.parameters,
        label=_label(origin),
        threshold=threshold,
        threshold_rule=THRESHOLD_RULE,
        parts={name: _part(part) for name, part in split.parts().items()},
        embargoed=split.embargoed,
        skipped=split.train.skipped,
        metrics={
            name: scores(part.y, probabilities[name], probabilities[name] >= threshold)
            for name, part in evaluated.items()
        },
        baselines={name: baseline_scores(split.train, part) for name, part in evaluated.items()},
        baseline_rules=BASELINE_RULES,
        calibration=calibration(split.test.y, probabilities["test"]),
        features=FEATURE_NAMES,
        feature_hash=feature_hash(),
        gain=_gain_shares(fitted.native.gain()),
        sector_codes=dict(origin.sector_codes),
        hashes=dict(hashes),
        versions=library_versions(),
        limits=((_MADE_UP,) if origin.market == "demo" else ()) + _LIMITS,
    )


def library_versions() -> dict[str, str]:
    """Versions of the libraries that computed the model and its features."""
    return {
        "python": platform.python_version(),
        "tezi": metadata.version("tezi"),
        "xgboost": xgboost.__version__,
        "lightgbm": lightgbm.__version__,
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "ta-lib": metadata.version("TA-Lib"),
        "onnx": onnx.__version__,
        "onnxmltools": onnxmltools.__version__,
    }


def _label(origin: Origin) -> LabelDefinition:
    if origin.target == "upper_circuit":
        event = "the session's upper price limit"
    else:
        event = (
            f"at least {origin.circuit_pct:g} % above the close of the announcement's day (or of "
            "the last trading day before it)"
        )
    return LabelDefinition(
        name=origin.target,
        circuit_pct=origin.circuit_pct if origin.target == "up_5pct" else None,
        meaning=(
            "1 if the close of the first trading day after the earnings announcement is "
            f"{event}, else 0"
        ),
    )


def _part(part: Dataset) -> Part:
    return Part(
        samples=len(part),
        positives=part.positives,
        positive_share=part.positives / len(part),
        first_day=from_day_number(part.days[0]),
        last_day=from_day_number(part.days[-1]),
    )


def _gain_shares(gain: Doubles) -> dict[str, float]:
    total = float(gain.sum())
    shares = gain / total if total > 0.0 else np.zeros_like(gain)
    return dict(zip(FEATURE_NAMES, shares.tolist(), strict=True))
