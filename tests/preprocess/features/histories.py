"""Histories made up for the features: every shape that real ones have, and some that they don't."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from hypothesis import strategies as st

from preprocess.market.calendar import FiscalQuarter, from_day_number, month_of, years_before
from preprocess.market.values import (
    CircuitLabel,
    CorporateAction,
    Floats,
    Prices,
    QuarterResult,
    StaticRow,
    StockHistory,
)
from tests.builders import prices, weekdays

CODE = "500001"
LEAP_DAY = date(2024, 2, 29)

CLOSES = ("walk", "flat", "nearly flat", "wild", "still after trading", "falling")
ASKED = ("last row", "a row", "no row", "after the end", "leap day")
FIGURES = (np.nan, 0.0, -3.5, 1e-9, 1e300, 12.0, 100.0, 120.0)
RATIOS = (2.0, 5.0, 10.0, 1.5, 1.1, 0.2)


@dataclass(frozen=True)
class Shape:
    """What kind of history, and where in it the question lies. Shares are of the rows."""

    closes: str
    rows: int
    asked: str
    holes: float = 0.0
    idle: float = 0.0
    adjusted: float = 0.0
    actions: int = 0
    reported: float = 0.7
    stamps: int = 3


def made_history(shape: Shape, seed: int) -> tuple[StockHistory, date]:
    """A history of that shape and a day to ask for; the same for the same seed."""
    rng = np.random.default_rng(seed)
    series = _prices(shape, rng)
    day = _asked(shape, series, rng)
    made = StockHistory(
        CODE,
        series,
        _results(shape, day, rng),
        _actions(shape, day, rng),
        _labels(day, rng),
        _statics(shape, day, rng),
    )
    return made, day


def shapes() -> st.SearchStrategy[Shape]:
    """Every kind of history; short ones are as frequent as long ones."""
    share = st.sampled_from([0.0, 0.0, 0.1, 0.5, 1.0])
    return st.builds(
        Shape,
        closes=st.sampled_from(CLOSES),
        rows=st.sampled_from([33, 34, 35, 36]) | st.integers(1, 400),
        asked=st.sampled_from(ASKED),
        holes=st.sampled_from([0.0, 0.1, 0.6]),
        idle=share,
        adjusted=share,
        actions=st.integers(0, 4),
        reported=st.sampled_from([0.7, 0.7, 0.2, 0.0]),
        stamps=st.integers(0, 3),
    )


def _prices(shape: Shape, rng: np.random.Generator) -> Prices:
    rows = shape.rows
    # So that a history may begin after the leap day, end before it, or hold it.
    first = date(2021, 6, 1) + timedelta(days=int(rng.integers(0, 1100)))
    days = np.array(weekdays(2 * rows + 10, first))
    kept = np.flatnonzero(rng.random(len(days)) >= shape.holes)[:rows]
    volume = rng.integers(1, 10**7, len(kept)).astype(np.float64)
    volume[rng.random(len(kept)) < shape.idle] = 0.0
    series = prices(
        _closes(shape.closes, len(kept), rng).tolist(),
        opening=(rng.uniform(0.05, 5000.0, len(kept)).round(2)).tolist(),
        volume=volume.tolist(),
        days=days[kept].tolist(),
    )
    # A source that adjusts gave the first rows, the exchange the later ones.
    series.adjusted[: int(shape.adjusted * len(kept))] = True
    return series


def _closes(kind: str, rows: int, rng: np.random.Generator) -> Floats:
    level = float(rng.choice([0.05, 3.3, 101.15, 98_765.4]))
    walk = level * np.exp(np.cumsum(rng.normal(0.0, 0.03, rows)))
    made = {
        "walk": walk,
        "flat": np.full(rows, level),
        "nearly flat": level + rng.choice([0.0, 0.0, 0.0, 0.05], rows),  # the exchange's tick
        "wild": rng.uniform(0.05, 5000.0, rows),
        "still after trading": np.concatenate([walk[: rows // 3], np.full(rows, level)])[:rows],
        "falling": level * 0.95 ** np.arange(rows),
    }[kind]
    floored: Floats = np.maximum(made, 0.01)
    return floored


def _asked(shape: Shape, series: Prices, rng: np.random.Generator) -> date:
    last = from_day_number(series.days[-1])
    if shape.asked == "a row":
        return from_day_number(rng.choice(series.days))
    if shape.asked == "no row":
        return from_day_number(rng.integers(series.days[0] - 2, series.days[-1] + 1))
    if shape.asked == "after the end":
        return last + timedelta(days=int(rng.integers(1, 500)))
    return LEAP_DAY if shape.asked == "leap day" else last


def _near(day: date, offsets: Sequence[int], count: int, rng: np.random.Generator) -> list[date]:
    chosen = rng.choice(offsets, count)
    return sorted({day + timedelta(days=int(offset)) for offset in chosen})


def _actions(shape: Shape, day: date, rng: np.random.Generator) -> tuple[CorporateAction, ...]:
    found = []
    for ex_date in _near(day, [-400, -90, -40, -20, -4, -1, 0, 0, 1, 30], shape.actions, rng):
        for kind in sorted(rng.choice(["bonus", "split", "rights", "demerger"], 2, replace=False)):
            # rights and demergers may have ratios, which adjust nothing
            ratio = float(rng.choice(RATIOS)) if rng.random() < 0.9 else None
            found.append(CorporateAction(ex_date, str(kind), ratio))
    return tuple(found)


def _results(shape: Shape, day: date, rng: np.random.Generator) -> tuple[QuarterResult, ...]:
    found = []
    newest = FiscalQuarter.of(day)
    for back in range(10, -2, -1):
        if rng.random() >= shape.reported:
            continue  # a quarter that was never reported
        label = newest.shifted(-back)
        end = label.last_day
        announced = (
            None,
            end + timedelta(days=int(rng.integers(1, 90))),
            day + timedelta(days=int(rng.integers(-1, 2))),
        )[int(rng.choice(3, p=[0.2, 0.6, 0.2]))]
        found.append(QuarterResult(label, end, announced, *rng.choice(FIGURES, 4).tolist()))
    return tuple(found)


def _labels(day: date, rng: np.random.Generator) -> tuple[CircuitLabel, ...]:
    three_years = (years_before(day, 3) - day).days
    offsets = [three_years + step for step in (-1, 0, 1, 2)] + [
        -1,
        0,
        1,
        -3,
        -91,
        -365,
        -730,
        -1000,
    ]
    found = []
    for earned in _near(day, offsets, int(rng.integers(0, 9)), rng):
        following = earned + timedelta(days=int(rng.integers(1, 4)))
        found.append(CircuitLabel(earned, following, 0.0, int(rng.integers(0, 2))))
    return tuple(found)


def _statics(shape: Shape, day: date, rng: np.random.Generator) -> tuple[StaticRow, ...]:
    near = _near(day, [-400, -62, -31, 0, 31], shape.stamps, rng)
    months = sorted({month_of(at) for at in near})
    return tuple(
        StaticRow(
            month,
            "Steel",
            None if rng.random() < 0.3 else int(rng.integers(0, 20)),
            None,
            None if rng.random() < 0.3 else int(rng.integers(0, 3)),
        )
        for month in months
    )
