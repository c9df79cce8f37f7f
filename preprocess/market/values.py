"""The market as values, which the store reads and features are computed from."""

import math
import re
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from operator import attrgetter
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from preprocess.market.calendar import FiscalQuarter, announcement_limit, day_number

ADJUSTING_KINDS = ("bonus", "split")
"""Corporate actions that change the number of shares by their ratio."""

DEMERGER = "demerger"
"""On its ex-date the price falls by the part that leaves, for which no ratio is published."""

Target = Literal["upper_circuit", "up_5pct"]
"""What a model predicts of the first session after results; see CircuitLabel."""

BSE_CODE_PATTERN = re.compile(r"[0-9]{6}")

Floats = NDArray[np.float64]
Days = NDArray[np.int32]


def is_bse_code(text: str) -> bool:
    """Whether `text` is exactly six ASCII digits."""
    return BSE_CODE_PATTERN.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Prices:
    """Daily bars of one stock, ascending by day, every array of length n.

    `days` are day numbers (days since 1970-01-01), prices are rupees a share as traded, `volume`
    is shares. Rows with `adjusted` set were imported already adjusted; no action touches them.
    """

    days: Days
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    adjusted: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.days)

    def until(self, day: date) -> Self:
        """The rows dated on or before `day`."""
        end = int(np.searchsorted(self.days, day_number(day), side="right"))
        return self if end == len(self) else self[:end]

    def __getitem__(self, rows: slice) -> Self:
        return type(self)(*(getattr(self, column.name)[rows] for column in fields(self)))

    @classmethod
    def empty(cls) -> Self:
        """No rows at all."""
        none = np.empty(0)
        return cls(np.empty(0, np.int32), none, none, none, none, none, np.empty(0, np.bool_))


@dataclass(frozen=True, slots=True)
class QuarterResult:
    """One quarter's results: crore rupees, EPS in rupees a share; NaN where not reported.

    `eps_as_of` is the day on whose number of shares EPS is stated; None: the day it was known.
    """

    quarter: FiscalQuarter
    period_end: date
    announced_on: date | None
    revenue_cr: float
    pat_cr: float
    operating_profit_cr: float
    eps: float
    eps_as_of: date | None = None

    @property
    def known_on(self) -> date:
        """The day from which these results may be used: announced, or the filing limit."""
        return self.announced_on or announcement_limit(self.quarter, self.period_end)


FIGURES = attrgetter("revenue_cr", "pat_cr", "operating_profit_cr", "eps")
"""The figures of a quarter, of results and of filings."""


@dataclass(frozen=True, slots=True)
class CorporateAction:
    """A bonus, split, rights issue or demerger; `ratio` is new shares for each old one."""

    ex_date: date
    kind: str
    ratio: float | None
    subject: str = ""


@dataclass(frozen=True, slots=True)
class CircuitLabel:
    """What the stock did on the first session after an earnings announcement.

    `label` is 1 where its close rose by TEZI_CIRCUIT_PCT or more. `upper_circuit` is 1 where the
    close was the upper price limit of the session, None where that can't be known.
    """

    earnings_date: date
    next_day_date: date
    price_change_pct: float
    label: int
    upper_circuit: int | None = None


@dataclass(frozen=True, slots=True)
class StaticRow:
    """A month's stamp of what changes slowly; None where unknown."""

    month: str
    sector: str | None
    sector_code: int | None
    market_cap_cr: float | None
    market_cap_tier: int | None


ACTIVE = "active"
UNKNOWN_SYMBOL = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Stock:
    """A company; `status` is ACTIVE while it is listed and traded.

    `price_exchange` is BSE or NSE, whose prices its series goes on with; None: of neither yet.
    """

    bse_code: str
    nse_symbol: str | None = None
    company_name: str | None = None
    isin: str | None = None
    industry: str | None = None
    status: str = ACTIVE
    price_exchange: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """What a stock is called from `valid_from` until its next identity; None where unknown."""

    bse_code: str
    valid_from: date
    isin: str | None
    nse_symbol: str | None


@dataclass(frozen=True, slots=True)
class StockHistory:
    """All that is stored of one stock, and nothing of any other stock.

    `results` ascend by quarter, and within one that was restated by the day they became known.
    """

    bse_code: str
    prices: Prices
    results: tuple[QuarterResult, ...] = ()
    actions: tuple[CorporateAction, ...] = ()
    labels: tuple[CircuitLabel, ...] = ()
    statics: tuple[StaticRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """One day's bar of one stock, to be written into the store."""

    bse_code: str
    day: date
    open: float
    high: float
    low: float
    close: float
    volume: int
    prev_close: float | None = None
    adjusted: bool = False


@dataclass(frozen=True, slots=True)
class PriceBand:
    """How far, in percent, a stock may move on the session after `day`; None without a limit."""

    bse_code: str
    day: date
    percent: float | None
    source: str


@dataclass(frozen=True, slots=True)
class Filing:
    """A filing of a quarter's results, or its line in an exchange's list, which has no figures.

    `basis` is consolidated, standalone or, unsaid, ""; `filed_at` is a day (when the board approved
    the results) or a day and time in Mumbai (when the exchange broadcast them), or "" if unknown.
    """

    bse_code: str
    period_end: date
    basis: str
    filed_at: str
    revenue_cr: float = math.nan
    pat_cr: float = math.nan
    operating_profit_cr: float = math.nan
    eps: float = math.nan


@dataclass(frozen=True, slots=True)
class DailyPrediction:
    """One stored prediction of the evening run; `created_at` is UTC."""

    bse_code: str
    prediction_date: date
    model_version: int
    predicted_label: int
    probability: float
    confidence: str
    variant: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Listing:
    """A stock with prices, and the date of its newest price."""

    stock: Stock
    newest_price: date


@dataclass(slots=True)
class Tally:
    """The rows of one table that a write added, changed or left unchanged."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0

    def __iadd__(self, other: "Tally") -> Self:
        self.added += other.added
        self.changed += other.changed
        self.unchanged += other.unchanged
        return self


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the change log: from `first_day` on, data of `bse_code` has changed."""

    sequence: int
    bse_code: str
    first_day: date


@dataclass(frozen=True, slots=True)
class Mark:
    """A position in the change log: the number of its newest entry, and that entry's random token.

    The number alone could not tell two databases apart, or a database from a restored backup that
    was written to since.
    """

    sequence: int = 0
    token: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """The size of a store."""

    stocks: int = 0
    price_rows: int = 0
    first_day: date | None = None
    last_day: date | None = None
    counts: dict[str, int] = field(default_factory=dict)
