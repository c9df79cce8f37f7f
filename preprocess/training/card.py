"""The model card: what a trained model is, what it was trained on and how well it performs."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import msgspec

from preprocess.errors import ModelError
from preprocess.features.manifest import require_manifest
from preprocess.market.values import Target

Family = Literal["xgboost", "lightgbm"]
Market = Literal["real", "demo"]
FAMILY_NAMES: dict[Family, str] = {"xgboost": "XGBoost", "lightgbm": "LightGBM"}

PartName = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Scores:
    """How well a predictor performs on one part of the data; see preprocess.training.evaluation."""

    samples: int
    positives: int
    roc_auc: float
    roc_auc_error: float
    pr_auc: float
    log_loss: float
    brier: float
    calibration_error: float
    precision: float
    recall: float
    f1: float
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Samples of similar probability: the predictions, and the share that came true."""

    samples: int
    lowest: float
    highest: float
    mean_probability: float
    positive_share: float


@dataclass(frozen=True, slots=True)
class Part:
    """The announcements in one part of the split; `positive_share` is a fraction."""

    samples: int
    positives: int
    positive_share: float
    first_day: date
    last_day: date


@dataclass(frozen=True, slots=True)
class LabelDefinition:
    """What the model predicts; `circuit_pct` is the least rise that counts for up_5pct."""

    name: Target
    circuit_pct: float | None
    meaning: str

    def __post_init__(self) -> None:
        # Versions before 0.5 called the rise by a percentage upper_circuit.
        if self.circuit_pct is not None:
            object.__setattr__(self, "name", "up_5pct")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Everything known about a trained model; `card.json` contains all of it.

    `trained_at` is UTC, ISO 8601. `metrics` are the model's by part, `baselines` those of the
    baselines it must beat, by part and name; both for "validation" and "test". `calibration` is
    that of the test part. `gain` is each feature's share of the total gain, a fraction. `hashes`
    are the SHA-256 of the model's files and of the data set.
    """

    model_id: str
    family: Family
    market: Market
    trained_at: str
    parameters: dict[str, bool | int | float | str]
    label: LabelDefinition
    threshold: float
    threshold_rule: str
    parts: dict[PartName, Part]
    embargoed: int
    skipped: dict[str, int]
    metrics: dict[PartName, Scores]
    baselines: dict[PartName, dict[str, Scores]]
    baseline_rules: dict[str, str]
    calibration: tuple[CalibrationBin, ...]
    features: tuple[str, ...]
    feature_hash: str
    gain: dict[str, float]
    sector_codes: dict[str, int]
    hashes: dict[str, str]
    versions: dict[str, str]
    limits: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The card as plain values, as in its JSON."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def to_json(self) -> bytes:
        """The card as an indented JSON document."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def from_json(cls, document: bytes) -> "ModelCard":
        """Read a document of `to_json`.

        Raises:
            ModelError: it is not a card, or the model's feature list is not the manifest.
        """
        try:
            card = msgspec.json.decode(document, type=cls)
        except msgspec.MsgspecError as error:
            raise ModelError(
                f"The model card is damaged: {error}. Train again with `tezi train`."
            ) from error
        require_manifest(card.features, owner=f"The model {card.model_id}")
        return card
