"""Feature rows in the types of Triton's output tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocess.features.batch import NO_DAY, STATUSES, BatchRows
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.features.row import Status
from preprocess.market.calendar import from_day_number
from preprocess.market.values import Days

Float32s = NDArray[np.float32]

_WORDS = np.array([status.encode() for status in STATUSES], dtype=np.object_)


@dataclass(frozen=True, slots=True)
class WireRows:
    """`values` float32 [n, 25]; `as_of` and `status` are arrays of n byte strings."""

    values: Float32s
    as_of: NDArray[Any]
    status: NDArray[Any]

    @classmethod
    def empty(cls, count: int) -> "WireRows":
        """Rows to be filled in; until then their status is STORE_UNAVAILABLE."""
        return cls(
            np.full((count, FEATURE_COUNT), np.nan, dtype=np.float32),
            np.full(count, b"", dtype=np.object_),
            np.full(count, Status.STORE_UNAVAILABLE.encode(), dtype=np.object_),
        )

    @classmethod
    def of(cls, rows: BatchRows) -> "WireRows":
        """Computed rows as float32; values out of its range are NaN in them already."""
        return cls(rows.values.astype(np.float32), _iso_dates(rows.as_of), _WORDS[rows.status])

    def put(self, indices: Sequence[int], rows: "WireRows") -> None:
        """Fill in rows at these indices."""
        self.values[indices] = rows.values
        self.as_of[indices] = rows.as_of
        self.status[indices] = rows.status


def _iso_dates(as_of: Days) -> NDArray[Any]:
    numbers = as_of.tolist()
    known = {
        number: b"" if number == NO_DAY else from_day_number(number).isoformat().encode()
        for number in set(numbers)
    }
    return np.array([known[number] for number in numbers], dtype=np.object_)
