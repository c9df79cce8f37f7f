"""The market read a second time, plainly: pandas straight from the CSV files, one stock at a time.

Parsing, adjustment, labels, tiers and sector codes owe nothing to the code of preprocess/, so that
a mistake there cannot hide here. Slow and simple on purpose.
"""

import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from preprocess.market.calendar import FiscalQuarter
from preprocess.market.values import (
    CircuitLabel,
    CorporateAction,
    Floats,
    Prices,
    QuarterResult,
    StaticRow,
    StockHistory,
)
from tests.preprocess.features.definition import feature_row


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

    def history(self, code: str, day: pd.Timestamp) -> StockHistory:
        """What was known of a stock on a day, its prices adjusted already."""
        frame = self.adjusted(code, day)
        results = self.results.get(code)
        known = [] if results is None else list(results[results.known <= day].itertuples())
        month = f"{day:%Y-%m}"
        sector = self.sector_codes.get(self.industries.get(code, ""))
        return StockHistory(
            code,
            Prices(
                days=frame.date.to_numpy("datetime64[D]").astype(np.int32),
                open=frame.open.to_numpy(),
                high=frame.high.to_numpy(),
                low=frame.low.to_numpy(),
                close=frame.close.to_numpy(),
                volume=frame.volume.to_numpy(),
                adjusted=np.ones(len(frame), dtype=np.bool_),
            ),
            results=tuple(
                QuarterResult(
                    FiscalQuarter(int(row.fiscal_year), int(row.quarter[1:])),
                    row.period_end.date(),
                    row.known.date(),
                    *(row.revenue_cr, row.pat_cr, row.operating_profit_cr, row.eps_rs),
                )
                for row in known
            ),
            labels=tuple(
                CircuitLabel(row.day.date(), row.following.date(), 0.0, row.label)
                for row in self.labels(code).itertuples()
            ),
            actions=tuple(
                CorporateAction(action.ex_date.date(), "demerger", None)
                for action in self.actions.get(code, pd.DataFrame()).itertuples()
                if action.kind == "demerger"
            ),
            statics=(StaticRow(month, None, sector, None, self.tiers(month).get(code)),),
        )

    @cached_property
    def sector_codes(self) -> dict[str, int]:
        """Industries by their position in the alphabet."""
        return {name: index for index, name in enumerate(sorted(set(self.industries.values())))}

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
        cap = float(closes[row][-1] * pat[newest][-1] / eps[newest][-1])
        # The source divides EPS by the ratios of all splits and bonuses, later ones included.
        if code in self.actions:
            actions = self.actions[code]
            cap /= actions.ratio[actions.ex_date > eve].prod()
        return float(cap)

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
            if any(a.kind == "demerger" and last < a.ex_date <= following for a in splits):
                continue
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


def features(market: ReferenceMarket, code: str, date: str) -> Floats:
    """All 25 features as of a day, float64."""
    day = pd.Timestamp(date)
    return feature_row(market.history(code, day), day.date()).values
