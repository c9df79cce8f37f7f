"""The tables of the market, as those who write rows and copy them know them."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Table:
    """A table by its key and its other columns; `first_day` is SQL over `s`, a staged row."""

    name: str
    key: tuple[str, ...]
    values: tuple[str, ...]
    first_day: str
    keep_known: bool = False  # a NULL that comes in does not erase what is known
    unread: tuple[str, ...] = ()  # values that alone are no reason to write a row

    @property
    def columns(self) -> tuple[str, ...]:
        """Key and values, in the order that rows are given in."""
        return self.key + self.values

    @property
    def compared(self) -> tuple[str, ...]:
        """The values that make a row differ from the one that is there."""
        return tuple(column for column in self.values if column not in self.unread)

    def incoming(self, column: str, source: str, present: str) -> str:
        """What a column becomes: the value that comes in, or what is known of it."""
        return (
            f"coalesce({source}.{column}, {present}.{column})"
            if self.keep_known
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
)
RESULTS = Table(
    "historical_financials",
    ("bse_code", "fiscal_year", "quarter"),
    ("period_end", "announced_on", "revenue_cr", "pat_cr", "operating_profit_cr", "eps"),
    first_day="s.period_end",  # results, and a wrong date that is corrected, are known only later
    keep_known=True,
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
    ("nse_symbol", "company_name", "isin", "industry", "status"),
    first_day=(
        "CASE WHEN coalesce(s.industry, p.industry) IS DISTINCT FROM p.industry"
        f" THEN '{EVERY_DAY.isoformat()}' ELSE '{NO_DAY.isoformat()}' END"
    ),
    keep_known=True,
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
    ("next_day_date", "price_change_pct", "label"),
    first_day="s.next_day_date",
)

PREDICTIONS = Table(
    "daily_predictions",
    ("bse_code", "prediction_date", "model_version"),
    ("predicted_label", "probability", "confidence", "variant", "created_at"),
    first_day="s.prediction_date",
    unread=("created_at",),  # a row that says the same keeps the moment when it was first said
)

# Stocks first, which the others belong to. What is derived from these is not among them.
TABLES = (STOCKS, PRICES, RESULTS, ACTIONS, LABELS, STATICS, PREDICTIONS)
