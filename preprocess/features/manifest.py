"""The feature manifest: the one ordered list of the features that a served model takes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from preprocess.errors import ModelError

Group = Literal["technical", "financial", "event", "static"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One served feature."""

    name: str
    group: Group
    unit: str
    meaning: str


MANIFEST: tuple[Feature, ...] = (
    Feature("rsi_14", "technical", "0 to 100", "RSI of the close over 14 rows"),
    Feature("macd_line", "technical", "rupees", "MACD(12, 26, 9), fast less slow average"),
    Feature("macd_signal", "technical", "rupees", "MACD(12, 26, 9), signal line"),
    Feature("macd_histogram", "technical", "rupees", "MACD line less its signal"),
    Feature("bb_upper", "technical", "rupees", "Bollinger band, 20 rows, mean + 2 deviations"),
    Feature("bb_middle", "technical", "rupees", "Bollinger band, 20 rows, mean"),
    Feature("bb_lower", "technical", "rupees", "Bollinger band, 20 rows, mean - 2 deviations"),
    Feature("bb_percent_b", "technical", "share", "place of the close between the bands"),
    Feature("volume_ratio", "technical", "ratio", "volume to the mean of the 30 rows before"),
    Feature("volume_spike", "technical", "0 or 1", "volume_ratio above 2"),
    Feature("momentum_5d", "technical", "percent", "change of the close over 5 rows"),
    Feature("momentum_10d", "technical", "percent", "change of the close over 10 rows"),
    Feature("momentum_30d", "technical", "percent", "change of the close over 30 rows"),
    Feature("revenue_growth_yoy", "financial", "percent", "revenue against a year earlier"),
    Feature("pat_growth_yoy", "financial", "percent", "profit after tax against a year earlier"),
    Feature("operating_margin", "financial", "percent", "operating profit to revenue"),
    Feature("net_profit_margin", "financial", "percent", "profit after tax to revenue"),
    Feature("eps_growth_yoy", "financial", "percent", "earnings per share against a year earlier"),
    Feature("earnings_surprise", "financial", "0 or 1", "growth above 20 %, or a turn to profit"),
    Feature("day0_reaction", "event", "percent", "open to close of the day itself"),
    Feature("volume_spike_ratio", "event", "ratio", "the day's volume to the 20 rows before"),
    Feature("pre_volume_trend", "event", "ratio", "5 rows before the day to the 15 before those"),
    Feature(
        "historical_circuit_rate_quarter",
        "event",
        "share",
        "positive labels in this fiscal quarter, three years back",
    ),
    Feature("sector_code", "static", "code", "industry, by the model's code table"),
    Feature("market_cap_tier", "static", "0, 1, 2", "small, mid, large by rank of market cap"),
)

FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in MANIFEST)
FEATURE_COUNT = len(FEATURE_NAMES)


def feature_hash(names: Sequence[str] = FEATURE_NAMES) -> str:
    """Twelve hex digits that stand for an ordered list of feature names."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]


def require_manifest(names: Sequence[str], *, owner: str) -> None:
    """Refuse a model whose feature list is not the manifest, name by name and in order.

    Raises:
        ModelError: names the first difference.
    """
    if tuple(names) == FEATURE_NAMES:
        return
    if len(names) != FEATURE_COUNT:
        raise ModelError(
            f"{owner} takes {len(names)} features, this Tezi computes {FEATURE_COUNT}: "
            "train it again with `tezi train`."
        )
    place = next(i for i, name in enumerate(names) if name != FEATURE_NAMES[i])
    raise ModelError(
        f"{owner} takes {names[place]!r} as feature {place + 1}, this Tezi computes "
        f"{FEATURE_NAMES[place]!r} there: train it again with `tezi train`."
    )
