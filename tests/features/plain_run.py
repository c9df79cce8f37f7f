"""Rows of made-up histories, saved by a process of its own: `python -m ... FILE`.

With NUMBA_DISABLE_JIT=1 in its environment the kernel runs as plain Python.
"""

import itertools
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from preprocess.calendar import day_number
from preprocess.columns import columns_of
from preprocess.features.batch import BatchRows, batch_rows
from tests.features.histories import ASKED, CLOSES, Shape, made_history


def plain_rows() -> BatchRows:
    """The rows of 90 stocks of every shape, each asked for its own day."""
    made = []
    for place, (closes, asked, rows) in enumerate(itertools.product(CLOSES, ASKED, (30, 34, 90))):
        shape = Shape(
            closes,
            rows,
            asked,
            holes=0.1,
            idle=(0.0, 0.3, 1.0)[place % 7 % 3],
            adjusted=place % 3 / 4,
            actions=3,
            reported=place % 5 / 4,
            stamps=place % 4,
        )
        history, day = made_history(shape, place)
        made.append((replace(history, bse_code=f"{500000 + place}"), day_number(day)))
    histories, days = zip(*made, strict=True)
    places = np.arange(len(days), dtype=np.int64)
    return batch_rows(columns_of(histories), places, np.array(days, dtype=np.int32))


if __name__ == "__main__":
    rows = plain_rows()
    np.savez(Path(sys.argv[1]), values=rows.values, as_of=rows.as_of, status=rows.status)
