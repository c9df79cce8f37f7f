"""Features written a second time, plainly: pandas for the data, TA-Lib for the indicators.

Nothing of preprocess/ is used, so that a mistake there cannot hide here. Slow and simple on
purpose: one stock and one day at a time, straight from the CSV files.
"""

import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import talib

QUARTER_START = {4: 1, 5: 1, 6: 1, 7: 2, 8: 2, 9: 2, 10: 3, 11: 3, 12: 3, 1: 4, 2: 4, 3: 4}


@dataclass
class ReferenceMarket:
    """The raw files as data frames, by stock."""

    prices: dict[str, pd.DataFrame]
    results: dict[str, pd.DataFrame]
    actions: dict[str, pd.DataFrame]
    industries: dict[str, str]
    _tiers: dict[str, dict[str, int]] = field(default_factory=dict)
    _columns: dict[str, list[Any]] = field(default_factory=dict)  # a frame is slow to take apart

    @classmethod
    def load(cls, folder: Path) -> "ReferenceMarket":
        """Read NSE prices, results, actions and industries."""
        text = {"bse_code": str}
        prices = pd.read_csv(folder / "prices_nse.csv.gz", dtype=text, parse_dates=["date"])
        results = pd.read_csv(
            folder / "financials.csv.gz",
            dtype=text,
            parse_dates=["period_end", "announce_date_proxy"],
        )
        late = pd.to_timedelta(results.quarter.map(lambda q: 60 if q == "Q4" else 45), unit="D")
        results["known"] = results.announce_date_proxy.fillna(results.period_end + late)
        results = results.sort_values(["bse_code", "fiscal_year", "quarter"])
        actions = pd.read_csv(
            folder / "corporate_actions.csv.gz", dtype=text, parse_dates=["ex_date"]
        )
        actions["ratio"] = actions.subject.map(ratio_of)
        symbols = pd.read_csv(folder / "symbol_map.csv", dtype=str)
        return cls(
            {str(code): frame for code, frame in prices.groupby("bse_code")},
            {str(code): frame for code, frame in results.groupby("bse_code")},
            {str(code): frame for code, frame in actions.groupby("bse_code")},
            dict(symbols.dropna(subset=["industry"])[["bse_code", "industry"]].to_numpy().tolist()),
        )

    def adjusted(self, code: str, day: pd.Timestamp) -> pd.DataFrame:
        """Rows to `day`, on its share count."""
        frame = self.prices[code]
        frame = frame[frame.date <= day].sort_values("date").copy()
        frame["volume"] = frame.volume.astype(float)
        for action in self.actions.get(code, pd.DataFrame()).itertuples():
            if action.ex_date <= day:
                before = frame.date < action.ex_date
                frame.loc[before, ["open", "high", "low", "close"]] /= action.ratio
                frame.loc[before, "volume"] *= action.ratio
        return frame

    @cached_property
    def sector_codes(self) -> dict[str, int]:
        """Industries by their place in the alphabet."""
        return {name: place for place, name in enumerate(sorted(set(self.industries.values())))}

    def tiers(self, month: str) -> dict[str, int]:
        """2, 1 or 0 by rank of market cap on the day before a month, where it is known."""
        if month not in self._tiers:
            eve = pd.Timestamp(f"{month}-01") - pd.Timedelta(days=1)
            caps = {code: self._cap(code, eve) for code in self.prices}
            known = sorted((code for code in caps if caps[code] > 0), key=lambda c: (-caps[c], c))
            self._tiers[month] = {
                code: 2 if rank < 100 else 1 if rank < 250 else 0 for rank, code in enumerate(known)
            }
        return self._tiers[month]

    def _cap(self, code: str, eve: pd.Timestamp) -> float:
        if code not in self.results:
            return math.nan
        if code not in self._columns:
            prices, results = self.prices[code], self.results[code]
            self._columns[code] = [
                *(prices[name].to_numpy() for name in ("date", "close")),
                *(results[name].to_numpy() for name in ("known", "pat_cr", "eps_rs")),
            ]
        days, closes, known, pat, eps = self._columns[code]
        row, newest = days <= eve, known <= eve
        if not row.any() or not newest.any() or eps[newest][-1] == 0:
            return math.nan
        return float(closes[row][-1] * pat[newest][-1] / eps[newest][-1])

    def labels(self, code: str) -> pd.DataFrame:
        """Announcement day, next trading day and label (5 %) of one stock."""
        found = []
        results, actions = self.results.get(code), self.actions.get(code)
        splits = [] if actions is None else list(actions.itertuples())
        prices = self.prices[code].sort_values("date")
        days, closes = prices.date.to_numpy(), prices.close.to_numpy()
        for day in [] if results is None else sorted(results.announce_date_proxy.dropna().unique()):
            rows_before = int((days <= day).sum())
            if rows_before in (0, len(days)):
                continue
            last, following = (pd.Timestamp(days[rows_before + step]) for step in (-1, 0))
            if (following - day).days > 10 or (day - last).days > 10:
                continue
            base = closes[rows_before - 1]
            for action in splits:
                if last < action.ex_date <= following:
                    base /= action.ratio
            change = round((closes[rows_before] / base - 1.0) * 100.0, 9)
            found.append({"day": day, "following": following, "label": int(change >= 5.0)})
        frame = pd.DataFrame(found, columns=["day", "following", "label"])
        return frame.astype({"day": "datetime64[ns]", "following": "datetime64[ns]"})


def ratio_of(subject: str) -> float:
    """New shares for each old one, by the subject's text; 1 for what does not adjust."""
    ratio = 1.0
    bonus = re.search(r"Bonus\W+(\d+)\s*:\s*(\d+)", subject)
    if bonus and "ebenture" not in subject:
        ratio *= (int(bonus[1]) + int(bonus[2])) / int(bonus[2])
    split = re.search(r"Split.*?R[se]\.?\s*(\d+).*?To\s+R[se]\.?\s*(\d+)", subject)
    if split:
        ratio *= int(split[1]) / int(split[2])
    return ratio


def technical(frame: pd.DataFrame) -> list[float]:
    """Features 1 to 13 at the last row."""
    close, volume = frame.close.to_numpy(), frame.volume.to_numpy()
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
    line, signal, histogram = talib.MACD(close, 12, 26, 9)
    window = close[-20:]
    flat = np.std(window) <= 1e-9 * np.mean(window)
    percent_b = 0.5 if flat else (close[-1] - lower[-1]) / (upper[-1] - lower[-1])
    ratio = volume[-1] / np.mean(volume[-31:-1]) if np.mean(volume[-31:-1]) > 0 else math.nan
    return [
        talib.RSI(close, 14)[-1],
        line[-1],
        signal[-1],
        histogram[-1],
        upper[-1],
        middle[-1],
        lower[-1],
        percent_b,
        ratio,
        math.nan if math.isnan(ratio) else float(ratio > 2),
        *[(close[-1] / close[-1 - rows] - 1) * 100 for rows in (5, 10, 30)],
    ]


def financial(results: pd.DataFrame | None, day: pd.Timestamp) -> list[float]:
    """Features 14 to 19."""
    if results is None:
        return [math.nan] * 6
    known = results[results.known <= day].set_index(["fiscal_year", "quarter"]).sort_index()
    if known.empty:
        return [math.nan] * 6
    year, quarter = known.index[-1]
    now = known.iloc[-1]
    before = known.loc[(year - 1, quarter)] if (year - 1, quarter) in known.index else None

    def grown(column: str, signed: bool) -> float:
        if before is None or before[column] == 0 or (not signed and before[column] < 0):
            return math.nan
        return float((now[column] - before[column]) / abs(before[column]) * 100)

    revenue, pat = grown("revenue_cr", False), grown("pat_cr", True)
    eps = grown("eps_rs", True)
    positive = now.revenue_cr > 0
    surprise = float(
        revenue > 20 or pat > 20 or (before is not None and before.pat_cr < 0 < now.pat_cr)
    )
    return [
        revenue,
        pat,
        now.operating_profit_cr / now.revenue_cr * 100 if positive else math.nan,
        now.pat_cr / now.revenue_cr * 100 if positive else math.nan,
        eps,
        math.nan if math.isnan(revenue) and math.isnan(pat) else surprise,
    ]


def event(frame: pd.DataFrame, labels: pd.DataFrame, day: pd.Timestamp) -> list[float]:
    """Features 20 to 23."""
    today, before = frame[frame.date == day], frame[frame.date < day]
    reaction = spike = trend = rate = math.nan
    if not today.empty:
        row = today.iloc[0]
        reaction = (row.close - row.open) / row.open * 100
        if len(before) >= 20 and before.volume[-20:].mean() > 0:
            spike = row.volume / before.volume[-20:].mean()
    if len(before) >= 20 and before.volume[-20:-5].mean() > 0:
        trend = before.volume[-5:].mean() / before.volume[-20:-5].mean()
    own = labels[
        (labels.day >= day - pd.DateOffset(years=3))
        & (labels.day < day)
        & (labels.following <= day)
        & (labels.day.dt.month.map(QUARTER_START) == QUARTER_START[day.month])
    ]
    if len(own):
        rate = own.label.mean()
    return [reaction, spike, trend, rate]


def features(market: ReferenceMarket, code: str, date: str) -> list[float]:
    """All 25 features as of a day."""
    day = pd.Timestamp(date)
    frame = market.adjusted(code, day)
    return [
        float(value)
        for value in (
            *technical(frame),
            *financial(market.results.get(code), day),
            *event(frame, market.labels(code), day),
            market.sector_codes.get(market.industries.get(code, ""), math.nan),
            market.tiers(date[:7]).get(code, math.nan),
        )
    ]
