"""Whether a figure grows: a slope that outliers do not bend, and how sure it is.

Theil and Sen: the median of the slopes between any two points, here between medians of ten
seconds each, since samples of one second after another are alike. The interval is Sen's, from the
distribution of Kendall's tau.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from preprocess.market import Floats

_BLOCK_S = 10.0
# Below so many blocks nothing can be said.
_FEWEST = 8
_NORMAL_95 = 1.959964
_HOUR_S = 3600.0
# Of what is held, an hour.
FLAT_SHARE = 0.02

Verdict = Literal["flat", "grows", "shrinks", "cannot be told"]


@dataclass(frozen=True)
class Trend:
    """Growth in units an hour with its 95 % interval; `level` is the median."""

    per_hour: float
    lower: float
    upper: float
    level: float

    @property
    def bound(self) -> float:
        """What may be added an hour and still count as flat."""
        return FLAT_SHARE * self.level

    @property
    def verdict(self) -> Verdict:
        """What the interval allows to say."""
        if self.lower > self.bound:
            return "grows"
        if self.upper < -self.bound:
            return "shrinks"
        return "flat" if self.upper <= self.bound else "cannot be told"

    @property
    def interval(self) -> str:
        """The interval as text; empty where there is none."""
        return f"{self.lower:+.1f} to {self.upper:+.1f}" if np.isfinite(self.upper) else ""

    def document(self) -> dict[str, float | str | None]:
        """For JSON, which has no infinity: None is an end of the interval that is not known."""
        ends = {name: getattr(self, name) for name in ("lower", "upper")}
        return {
            "per_hour": self.per_hour,
            **{name: end if np.isfinite(end) else None for name, end in ends.items()},
            "level": self.level,
            "verdict": self.verdict,
        }


def trend(seconds: Floats, values: Floats) -> Trend:
    """The trend of values that were sampled at these moments, of which there is one at least.

    In less than 80 s there is none that could be told.
    """
    blocks = ((seconds - seconds[0]) // _BLOCK_S).astype(int)
    known = np.unique(blocks)
    x = np.array([np.median(seconds[blocks == block]) for block in known])
    y = np.array([np.median(values[blocks == block]) for block in known])
    level, count = float(np.median(values)), len(x)
    if count < _FEWEST:
        return Trend(0.0, -np.inf, np.inf, level)
    first, second = np.triu_indices(count, 1)
    slopes = np.sort((y[second] - y[first]) / (x[second] - x[first])) * _HOUR_S
    half = _NORMAL_95 * np.sqrt(count * (count - 1) * (2 * count + 5) / 18) / 2
    lowest = max(0, round(len(slopes) / 2 - half) - 1)
    highest = min(len(slopes) - 1, round(len(slopes) / 2 + half))
    return Trend(float(np.median(slopes)), float(slopes[lowest]), float(slopes[highest]), level)
