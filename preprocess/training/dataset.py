"""The data set: a sample per announcement with a known outcome, with features as of its day."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from preprocess.errors import TrainingError
from preprocess.feature_optimizer import FeatureOptimizer
from preprocess.features.manifest import FEATURE_NAMES
from preprocess.features.row import Status
from preprocess.market.values import Target
from preprocess.store import Store
from preprocess.training.native import Float32s


@dataclass(frozen=True, slots=True)
class Dataset:
    """n samples, sorted by announcement date, then by code.

    `bse_codes` text [n], `days` announcement dates as day numbers int32 [n], `x` float32 [n, 25]
    in manifest order with NaN where missing, `y` int8 [n], `outcome_days` int32 [n] the dates whose
    close decided the label. `skipped` counts the other announcements, by reason.
    """

    bse_codes: NDArray[np.str_]
    days: NDArray[np.int32]
    x: Float32s
    y: NDArray[np.int8]
    outcome_days: NDArray[np.int32]
    skipped: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Self:
        return type(self)(
            bse_codes=self.bse_codes[chosen],
            days=self.days[chosen],
            x=self.x[chosen],
            y=self.y[chosen],
            outcome_days=self.outcome_days[chosen],
            skipped=self.skipped,
        )

    @property
    def positives(self) -> int:
        """Number of positive labels."""
        return int(self.y.sum())

    def sha256(self) -> str:
        """SHA-256 over every array."""
        digest = hashlib.sha256()
        for array in (self.bse_codes, self.days, self.x, self.y, self.outcome_days):
            digest.update(array.tobytes())
        return digest.hexdigest()


UNKNOWN_OUTCOME = "UNKNOWN_OUTCOME"


def build_dataset(store: Store, *, circuit_pct: float, target: Target) -> Dataset:
    """Compute the samples of every labelled announcement in the store, point in time.

    Raises:
        TrainingError: the stored labels were made with another `circuit_pct`, or before this
            target was known.
    """
    frame = FeatureOptimizer(store).extract_history()
    if target == "up_5pct":
        _require_circuit(frame, circuit_pct)
    elif len(frame) and frame[target].isna().all():
        raise TrainingError(
            f"No announcement has a known outcome for {target}. Adjusted prices tell nothing about "
            "price limits: import prices as traded. For data imported by an earlier version of "
            "Tezi run `tezi maintain` once. Or train with --target up_5pct."
        )
    frame.loc[(frame["status"] == Status.OK) & frame[target].isna(), "status"] = UNKNOWN_OUTCOME
    good = frame["status"] == Status.OK
    skipped = Counter(frame.loc[~good, "status"])
    frame = frame[good].sort_values(["day", "bse_code"])
    return Dataset(
        bse_codes=frame["bse_code"].to_numpy(dtype="U6"),
        days=_day_numbers(frame["day"]),
        x=np.ascontiguousarray(frame[list(FEATURE_NAMES)], dtype=np.float32),
        y=frame[target].to_numpy(dtype=np.int8),
        outcome_days=_day_numbers(frame["next_day"]),
        skipped=dict(skipped),
    )


def _day_numbers(days: pd.Series) -> NDArray[np.int32]:
    numbers: NDArray[np.int32] = days.to_numpy(dtype="datetime64[D]").astype(np.int32)
    return numbers


def _require_circuit(frame: pd.DataFrame, circuit_pct: float) -> None:
    wrong = frame[frame["up_5pct"] != (frame["price_change_pct"] >= circuit_pct)]
    if len(wrong):
        row = wrong.iloc[0]
        raise TrainingError(
            f"The label of {row['bse_code']} after {row['day']} ({row['up_5pct']} for a rise of "
            f"{row['price_change_pct']:.2f} %) was not made with TEZI_CIRCUIT_PCT={circuit_pct:g}. "
            "Set it to its value at the time of the import, or import the data again."
        )
