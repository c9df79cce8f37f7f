"""The daily bars of a whole market, with what the checks look at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from preprocess.market.calendar import day_number
from preprocess.market.columns import Indices, MarketColumns
from preprocess.market.values import ADJUSTING_KINDS, CorporateAction, Floats

# A stock's days lie in a range of keys of its own, whatever days its actions have.
_STOCK = 1 << 32


@dataclass(frozen=True)
class Bars:
    """All bars up to a day, stock by stock and ascending by day; arrays are [n] unless said.

    `stock` is the index of the code in `codes`, `day` a day number, `session` how many sessions of
    the market there were up to the bar, `missed` those between it and the stock's bar before.
    `move` is the natural logarithm of the close by the close before, adjusted for splits and
    bonuses; NaN for a stock's first bar. `explained` says that between the two lies
    an ex-date whose effect on the price is not known: of rights, a demerger.
    `starts` is int64 [stocks + 1], as in MarketColumns.
    """

    codes: Sequence[str]
    sessions: NDArray[np.int32]
    starts: Indices
    stock: Indices
    day: NDArray[np.int32]
    session: Indices
    close: Floats
    volume: Floats
    missed: Indices
    move: Floats
    explained: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.day)

    @property
    def newest(self) -> Indices:
        """The index of each stock's newest bar, of stocks that have one, [m]."""
        return self.starts[1:][np.diff(self.starts) > 0] - 1

    def following(self, stock: Indices, day: Indices) -> Indices:
        """The index of each stock's first bar after a day, [k]; len(self) where there is none."""
        found = np.searchsorted(self._keys, stock * _STOCK + day, side="right")
        there = found < len(self)
        there[there] = self.stock[found[there]] == stock[there]
        return np.where(there, found, len(self))

    @property
    def _keys(self) -> Indices:
        return _keys(self.stock, self.day)


def bars_until(
    columns: MarketColumns,
    day: date,
    *,
    sessions: Iterable[date],
    actions: Iterable[tuple[str, CorporateAction]],
) -> Bars:
    """The bars dated on or before `day`; `actions` come with the codes of their stocks.

    Nothing after the day is looked at, actions included.
    """
    prices, last = columns.prices, day_number(day)
    kept = prices["day"] <= last
    stock = np.repeat(np.arange(len(columns)), np.diff(prices.starts))[kept]
    days, close, adjusted = (prices[name][kept] for name in ("day", "close", "adjusted"))
    known = np.array(sorted({day_number(each) for each in sessions if each <= day}), np.int32)
    session = np.searchsorted(known, days, side="right")
    first = np.append(True, stock[1:] != stock[:-1])[: len(stock)]
    factor, explained = np.zeros(len(stock)), np.zeros(len(stock), dtype=bool)
    keys = _keys(stock, days)
    for code, action in actions:
        owner = columns.index_by_code.get(code.encode())
        if owner is None or action.ex_date > day:
            continue
        bar = int(np.searchsorted(keys, owner * _STOCK + day_number(action.ex_date)))
        if bar < len(stock) and stock[bar] == owner and not first[bar]:
            if action.kind not in ADJUSTING_KINDS or not action.ratio:
                explained[bar] = True
            elif not adjusted[bar - 1]:
                factor[bar] += np.log(action.ratio)
    with np.errstate(divide="ignore", invalid="ignore"):
        move = np.diff(np.log(close), prepend=np.nan) + factor
    move[first] = np.nan
    starts = np.zeros(len(columns) + 1, dtype=np.int64)
    np.cumsum(np.bincount(stock, minlength=len(columns)), out=starts[1:])
    return Bars(
        codes=columns.codes.astype("U6").tolist(),
        sessions=known,
        starts=starts,
        stock=stock,
        day=days,
        session=session,
        close=close,
        volume=prices["volume"][kept],
        missed=np.where(first, 0, np.maximum(np.diff(session, prepend=0) - 1, 0)),
        move=move,
        explained=explained,
    )


def _keys(stock: Indices, day: NDArray[np.int32]) -> Indices:
    keys: Indices = stock.astype(np.int64) * _STOCK + day
    return keys
