"""The tables of the market, for code that writes and copies their rows."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Table:
    """A table by its key and its other columns; `first_day` is SQL over `s`, a staged row."""

    name: str
    key: tuple[str, ...]
    values: tuple[str, ...]
    first_day: str
    kept: tuple[str, ...] = ()  # an incoming NULL does not erase a known value of these
    unread: tuple[str, ...] = ()  # a row that differs in these alone is not written

    @property
    def columns(self) -> tuple[str, ...]:
        """Key and values, in the order that rows are given in."""
        return self.key + self.values

    def changed_rows(self, source: str) -> str:
        """SQL for the rows `s` of `source` that are new, or differ from the stored row `p`."""
        on = " AND ".join(f"p.{column} = s.{column}" for column in self.key)
        compared = [column for column in self.values if column not in self.unread]
        incoming = ", ".join(self._incoming(column, "s", "p") for column in compared)
        stored = ", ".join(f"p.{column}" for column in compared)
        return (
            f"FROM {source} LEFT JOIN {self.name} p ON {on}"
            f" WHERE p.bse_code IS NULL OR ({incoming}) IS DISTINCT FROM ({stored})"
        )

    @property
    def on_conflict(self) -> str:
        """SQL that makes an INSERT correct the row that is stored under the same key."""
        updates = ", ".join(
            f"{column} = {self._incoming(column, 'excluded', self.name)}" for column in self.values
        )
        return f"ON CONFLICT ({', '.join(self.key)}) DO UPDATE SET {updates}"

    def _incoming(self, column: str, source: str, stored: str) -> str:
        return (
            f"coalesce({source}.{column}, {stored}.{column})"
            if column in self.kept
            else f"{source}.{column}"
        )


# First days for the change log: an industry moves features on every day, a name on none.
EVERY_DAY = date.min
NO_DAY = date.max

PRICES = Table(
    "price_movements",
    ("bse_code", "date"),
    ("open", "high", "low", "close", "volume", "prev_close", "adjusted"),
    first_day="s.date",
    kept=("prev_close",),
)
_FIGURES = ("revenue_cr", "pat_cr", "operating_profit_cr", "eps")
RESULTS = Table(
    "historical_financials",
    ("bse_code", "fiscal_year", "quarter"),
    ("period_end", "announced_on", *_FIGURES, "eps_as_of"),
    first_day="s.period_end",  # results, and a wrong date that is corrected, are known only later
    kept=("announced_on", *_FIGURES, "eps_as_of"),
    unread=("eps_as_of",),  # an EPS that has not changed was not restated
)
EARLIER_RESULTS = Table(
    "earlier_results",
    (*RESULTS.key, "announced_on"),
    ("period_end", *_FIGURES, "eps_as_of"),
    first_day="s.announced_on",
)
ACTIONS = Table(
    "corporate_actions",
    ("bse_code", "ex_date", "kind"),
    ("ratio", "subject"),
    first_day="s.ex_date",
)
STOCKS = Table(
    "stocks",
    ("bse_code",),
    ("nse_symbol", "company_name", "isin", "industry", "status", "price_exchange"),
    first_day=(
        "CASE WHEN coalesce(s.industry, p.industry) IS DISTINCT FROM p.industry"
        f" THEN '{EVERY_DAY.isoformat()}' ELSE '{NO_DAY.isoformat()}' END"
    ),
    kept=("nse_symbol", "company_name", "isin", "industry", "status", "price_exchange"),
)
IDENTITIES = Table(
    "identities",
    ("bse_code", "valid_from"),
    ("isin", "nse_symbol"),
    first_day=f"'{NO_DAY.isoformat()}'",
)
BANDS = Table(
    "price_bands",
    ("bse_code", "date"),
    ("band", "source"),
    first_day="s.date",
)
FILINGS = Table(
    "filings",
    ("bse_code", "period_end", "basis", "filed_at"),
    _FIGURES,
    first_day="s.period_end",
    kept=_FIGURES,
)
STATICS = Table(
    "static_features",
    ("bse_code", "month"),
    ("sector", "sector_code", "market_cap_cr", "market_cap_tier"),
    first_day="s.month || '-01'",
)
LABELS = Table(
    "upper_circuit_labels",
    ("bse_code", "earnings_date"),
    ("next_day_date", "price_change_pct", "label", "upper_circuit"),
    first_day="s.next_day_date",
)

PREDICTIONS = Table(
    "daily_predictions",
    ("bse_code", "prediction_date", "model_version"),
    ("predicted_label", "probability", "confidence", "variant", "created_at"),
    first_day="s.prediction_date",
    unread=("created_at",),  # an unchanged prediction keeps its first timestamp
)

# Stocks first, since the others belong to them. Tables derived from these are not included.
TABLES = (
    STOCKS,
    IDENTITIES,
    PRICES,
    RESULTS,
    EARLIER_RESULTS,
    FILINGS,
    ACTIONS,
    BANDS,
    LABELS,
    STATICS,
    PREDICTIONS,
)
