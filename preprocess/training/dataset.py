"""The data set: one sample for each announcement whose outcome is known, features as of its day."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from preprocess.calendar import day_number
from preprocess.errors import TrainingError
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.features.row import Status
from preprocess.features.vector import feature_row
from preprocess.market import CircuitLabel
from preprocess.models.native import Float32s
from preprocess.store import Store

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
    store: Store, *, circuit_pct: float, progress: Progress = lambda _done, _total: None
) -> Dataset:
    """Compute the samples of every labelled announcement in the store, point in time.

    Raises:
        TrainingError: the stored labels were made with another `circuit_pct`.
    """
    samples: list[tuple[int, str, int, int]] = []
    rows: list[Float32s] = []
    skipped: Counter[str] = Counter()
    codes = store.bse_codes()
    for done, history in enumerate(store.histories(codes), start=1):
        code = history.bse_code
        for label in history.labels:
            _require_circuit(code, label, circuit_pct)
            row = feature_row(history, label.earnings_date)
            if row.status is not Status.OK:
                skipped[row.status.value] += 1
                continue
            days = day_number(label.earnings_date), day_number(label.next_day_date)
            samples.append((days[0], code, days[1], label.label))
            rows.append(row.values.astype(np.float32))
        progress(done, len(codes))
    return _sorted(samples, rows, dict(skipped))


def _sorted(
    samples: list[tuple[int, str, int, int]], rows: list[Float32s], skipped: dict[str, int]
) -> Dataset:
    order = sorted(range(len(samples)), key=samples.__getitem__)
    ordered = [samples[place] for place in order]
    x = np.array([rows[place] for place in order], dtype=np.float32)
    return Dataset(
        bse_codes=np.array([code for _, code, _, _ in ordered], dtype="U6"),
        days=np.array([day for day, _, _, _ in ordered], dtype=np.int32),
        x=x.reshape(-1, FEATURE_COUNT),
        y=np.array([label for _, _, _, label in ordered], dtype=np.int8),
        outcome_days=np.array([outcome for _, _, outcome, _ in ordered], dtype=np.int32),
        skipped=skipped,
    )


def _require_circuit(code: str, label: CircuitLabel, circuit_pct: float) -> None:
    if label.label != int(label.price_change_pct >= circuit_pct):
        raise TrainingError(
            f"The label of {code} after {label.earnings_date} ({label.label} for a rise of "
            f"{label.price_change_pct:.2f} %) was not made with TEZI_CIRCUIT_PCT={circuit_pct:g}. "
            "Set it to what it was when the data were imported, or import them again."
        )
