"""The feature manifest: the one ordered list of the features that a served model takes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.errors import ModelError


@dataclass(frozen=True, slots=True)
class Feature:
    """One served feature."""

    name: str
    unit: str
    meaning: str


MANIFEST: tuple[Feature, ...] = (
    Feature("rsi_14", "0 to 100", "RSI of the close over 14 rows"),
    Feature("macd_line", "rupees", "MACD(12, 26, 9), fast less slow average"),
    Feature("macd_signal", "rupees", "MACD(12, 26, 9), signal line"),
    Feature("macd_histogram", "rupees", "MACD line less its signal"),
    Feature("bb_upper", "rupees", "Bollinger band, 20 rows, mean + 2 deviations"),
    Feature("bb_middle", "rupees", "Bollinger band, 20 rows, mean"),
    Feature("bb_lower", "rupees", "Bollinger band, 20 rows, mean - 2 deviations"),
    Feature("bb_percent_b", "share", "position of the close between the bands"),
    Feature("volume_ratio", "ratio", "volume to the mean of the 30 rows before"),
    Feature("volume_spike", "0 or 1", "volume_ratio above 2"),
    Feature("momentum_5d", "percent", "change of the close over 5 rows"),
    Feature("momentum_10d", "percent", "change of the close over 10 rows"),
    Feature("momentum_30d", "percent", "change of the close over 30 rows"),
    Feature("revenue_growth_yoy", "percent", "revenue against a year earlier"),
    Feature("pat_growth_yoy", "percent", "profit after tax against a year earlier"),
    Feature("operating_margin", "percent", "operating profit to revenue"),
    Feature("net_profit_margin", "percent", "profit after tax to revenue"),
    Feature("eps_growth_yoy", "percent", "earnings per share against a year earlier"),
    Feature("earnings_surprise", "0 or 1", "growth above 20 %, or a turn to profit"),
    Feature("day0_reaction", "percent", "open to close of the day itself"),
    Feature("volume_spike_ratio", "ratio", "the day's volume to the 20 rows before"),
    Feature("pre_volume_trend", "ratio", "5 rows before the day to the 15 before those"),
    Feature(
        "historical_circuit_rate_quarter",
        "share",
        "positive labels in this fiscal quarter over the last three years",
    ),
    Feature("sector_code", "code", "industry, by the model's code table"),
    Feature("market_cap_tier", "0, 1, 2", "small, mid, large by rank of market cap"),
)

FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in MANIFEST)
FEATURE_COUNT = len(FEATURE_NAMES)


def feature_hash(names: Sequence[str] = FEATURE_NAMES) -> str:
    """Twelve hex digits that stand for an ordered list of feature names."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]


def manifest_places(names: Sequence[str], *, owner: str, unnamed: str) -> NDArray[np.int32]:
    """The place in the manifest of each column that a model was fitted on, in any order.

    Columns called `unnamed` and their number had no names: 25 of them are taken for the manifest's,
    in its order.

    Raises:
        ModelError: they are not the features of the manifest; the message has both lists.
    """
    if list(names) == [f"{unnamed}{place}" for place in range(len(names))]:
        if len(names) == FEATURE_COUNT:
            return np.arange(FEATURE_COUNT, dtype=np.int32)
        names = [f"{len(names)} columns without names"]
    if sorted(names) != sorted(FEATURE_NAMES):
        raise ModelError(
            f"{owner} was fitted on {', '.join(names)}. Train it with the features that this Tezi "
            f"computes: {', '.join(FEATURE_NAMES)}."
        )
    return np.array([FEATURE_NAMES.index(name) for name in names], dtype=np.int32)


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
    index = next(i for i, name in enumerate(names) if name != FEATURE_NAMES[i])
    raise ModelError(
        f"{owner} takes {names[index]!r} as feature {index + 1}, this Tezi computes "
        f"{FEATURE_NAMES[index]!r} there: train it again with `tezi train`."
    )
