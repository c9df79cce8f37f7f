"""Made-up samples and a made-up store to train on, small and quick."""

from datetime import UTC, date, datetime, timedelta

import numpy as np

from preprocess.features.derive import refresh_derived
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.market.calendar import FiscalQuarter, day_number
from preprocess.market.values import Bar, QuarterResult, Stock
from preprocess.store import Store
from preprocess.training.dataset import Dataset
from preprocess.training.describe import Origin
from preprocess.training.native import Float32s
from tests.builders import weekdays

NOW = datetime(2026, 8, 14, 12, 30, 15, tzinfo=UTC)
ORIGIN = Origin(
    market="real", target="up_5pct", circuit_pct=5.0, sector_codes={"Steel": 0, "Tea": 1}
)


def features(count: int, random: np.random.Generator) -> Float32s:
    """Columns of every kind: gaps and none, flags, codes, mostly zero, tiny, huge."""
    x = random.normal(size=(count, FEATURE_COUNT)).astype(np.float32)
    x[:, 0:6] = np.round(x[:, 0:6], 1)
    x[:, 6] = np.where(random.random(count) < 0.5, 0.0, x[:, 6] * 1e-3)
    x[:, 7] = np.where(random.random(count) < 0.4, 0.0, x[:, 7])
    x[:, 8] *= 1e-36
    x[:, 9] *= 1e30
    x[:, 18] = random.integers(0, 2, count)
    x[:, 23] = random.integers(0, 40, count)
    x[:, 24] = random.integers(0, 3, count)
    gaps = random.random((count, FEATURE_COUNT)) < 0.15
    gaps[:, [1, 3, 7, 19, 23]] = False
    x[gaps] = np.nan
    return x


def dataset(count: int = 1500, *, seed: int = 1, days: int = 300) -> Dataset:
    """Samples over `days` calendar days, about a fifth positive, with a signal in the features."""
    random = np.random.default_rng(seed)
    x = features(count, random)
    filled = np.nan_to_num(x)
    score = filled[:, 10] + 0.8 * filled[:, 18] + 0.7 * np.isnan(x[:, 12]) + filled[:, 7] - 2.0
    y = (random.random(count) < 1.0 / (1.0 + np.exp(-score))).astype(np.int8)
    when = np.sort(random.integers(0, days, count)).astype(np.int32) + day_number(date(2024, 1, 1))
    return Dataset(
        bse_codes=np.array([f"{500000 + place % 400:06d}" for place in range(count)]),
        days=when,
        x=x,
        y=y,
        outcome_days=when + random.integers(1, 5, count).astype(np.int32),
        skipped={"SHORT_HISTORY": 3},
    )


def fill(store: Store, *, stocks: int = 40, isin: str = "INE") -> None:
    """Random walks with quarterly results; after a profit that grew, a jump is likelier."""
    random = np.random.default_rng(5)
    days = weekdays(420, date(2024, 1, 1))
    with store.transaction() as writer:
        for number in range(stocks):
            code = f"{500000 + number:06d}"
            results = _results(random, days)
            jumps = {
                result.announced_on for result in results if random.random() < result.eps / 10.0
            }
            writer.put_stocks([Stock(code, isin=f"{isin}{number:09d}", industry="Steel")])
            writer.put_prices(_bars(code, days, jumps, random))
            writer.put_results([(code, result) for result in results])
        refresh_derived(writer, circuit_pct=5.0)


def _results(random: np.random.Generator, days: list[date]) -> list[QuarterResult]:
    results = []
    quarter = FiscalQuarter(2024, 1)
    while quarter.last_day + timedelta(days=30) < days[-1]:
        pat = float(random.uniform(1.0, 9.0))
        announced = quarter.last_day + timedelta(days=int(random.integers(10, 30)))
        results.append(QuarterResult(quarter, quarter.last_day, announced, 100.0, pat, 15.0, pat))
        quarter = quarter.shifted(1)
    return results


def _bars(
    code: str, days: list[date], jumps: set[date | None], random: np.random.Generator
) -> list[Bar]:
    close, bars = 100.0, []
    for yesterday, day in zip([days[0], *days], days, strict=False):
        before, due = close, any(yesterday <= jump < day for jump in jumps if jump)
        close = round(close * (1.08 if due else 1.0 + random.normal(0.0, 0.01)), 2)
        high, low = max(before, close), min(before, close)
        bars.append(Bar(code, day, before, high, low, close, int(random.integers(1_000, 9_000))))
    return bars
