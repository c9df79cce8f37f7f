"""The data set: one sample for each announcement whose outcome is known, features as of its day."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from preprocess.calendar import from_day_number
from preprocess.columns import Indices, MarketColumns
from preprocess.errors import TrainingError
from preprocess.features.batch import STATUSES, batch_rows
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.features.row import Status
from preprocess.models.native import Float32s
from preprocess.store import Store

_CHUNK = 5_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Dataset:
    """n samples, ascending by announcement date, then by code.

    `bse_codes` text [n], `days` announcement dates as day numbers int32 [n], `x` float32 [n, 25]
    in manifest order with NaN where missing, `y` int8 [n], `outcome_days` the dates whose close
    made the label, int32 [n]. `skipped` counts announcements without features, by reason.
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


def build_dataset(
    store: Store,
    *,
    circuit_pct: float,
    progress: Progress = lambda _done, _total: None,
) -> Dataset:
    """Compute the samples of every labelled announcement in the store, point in time.

    `progress` is told of samples done, and of how many there are.

    Raises:
        TrainingError: the stored labels were made with another `circuit_pct`.
    """
    columns = store.columns()
    labels = columns.labels
    places = np.repeat(np.arange(len(columns)), np.diff(labels.starts))
    _require_circuit(columns, places, circuit_pct)
    values = np.empty((len(places), FEATURE_COUNT), dtype=np.float32)
    status = np.empty(len(places), dtype=np.int8)
    for start in range(0, len(places), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        rows = batch_rows(columns, places[chunk], labels["earnings_day"][chunk])
        values[chunk], status[chunk] = rows.values, rows.status
        progress(min(start + _CHUNK, len(places)), len(places))
    good = status == STATUSES.index(Status.OK)
    order = np.lexsort((places, labels["earnings_day"]))
    order = order[good[order]]
    skipped = Counter(STATUSES[number].value for number in status[~good].tolist())
    return Dataset(
        bse_codes=columns.codes.astype("U6")[places[order]],
        days=labels["earnings_day"][order],
        x=values[order],
        y=labels["label"][order],
        outcome_days=labels["next_day"][order],
        skipped=dict(skipped),
    )


def _require_circuit(columns: MarketColumns, places: Indices, circuit_pct: float) -> None:
    labels = columns.labels
    wrong = np.flatnonzero(labels["label"] != (labels["price_change_pct"] >= circuit_pct))
    if len(wrong):
        row = int(wrong[0])
        raise TrainingError(
            f"The label of {columns.codes[places[row]].decode()} after "
            f"{from_day_number(labels['earnings_day'][row])} ({labels['label'][row]} for a rise of "
            f"{labels['price_change_pct'][row]:.2f} %) was not made with "
            f"TEZI_CIRCUIT_PCT={circuit_pct:g}. Set it to what it was when the data were imported, "
            "or import them again."
        )
