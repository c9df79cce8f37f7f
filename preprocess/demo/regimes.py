"""What moves all stocks of the demo market, or a whole sector, at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.market import Floats

SHORTEST_REGIME_DAYS, LONGEST_REGIME_DAYS = 30, 90
SECTOR_VOLATILITY = 0.005
TAIL_FREEDOM = 5.0  # Student's t of daily moves: fat tails, finite variance


@dataclass(frozen=True, slots=True)
class Regime:
    """A phase of the market; drift and volatility are a day's, as fractions."""

    name: str
    drift: float
    volatility: float


BULL = Regime("bull", 0.0011, 0.007)
BEAR = Regime("bear", -0.0014, 0.013)
SIDEWAYS = Regime("sideways", 0.0, 0.005)
REGIMES = (BULL, BEAR, SIDEWAYS)


@dataclass(frozen=True, slots=True)
class Factors:
    """Daily returns that stocks share: `market` [days], `sectors` [sectors, days], fractions.

    `agitation` [days] scales each stock's own volatility: 1 in a bull market, more in a bear one.
    """

    market: Floats
    sectors: Floats
    agitation: Floats


def regime_path(rng: np.random.Generator, days: int) -> NDArray[np.int64]:
    """Places in REGIMES, one a day; a phase lasts 30 to 90 days and another one follows it."""
    path = np.empty(days, dtype=np.int64)
    current = int(rng.integers(len(REGIMES)))
    start = 0
    while start < days:
        length = int(rng.integers(SHORTEST_REGIME_DAYS, LONGEST_REGIME_DAYS + 1))
        path[start : start + length] = current
        current = (current + int(rng.integers(1, len(REGIMES)))) % len(REGIMES)
        start += length
    return path


def fat_tailed(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Draws of Student's t, scaled to a variance of 1."""
    scale = np.sqrt((TAIL_FREEDOM - 2.0) / TAIL_FREEDOM)
    return np.asarray(rng.standard_t(TAIL_FREEDOM, shape) * scale, dtype=np.float64)


def draw_factors(rng: np.random.Generator, sectors: int, days: int) -> Factors:
    """The factors of a whole market."""
    path = regime_path(rng, days)
    drift = np.array([regime.drift for regime in REGIMES])[path]
    volatility = np.array([regime.volatility for regime in REGIMES])[path]
    return Factors(
        market=drift + volatility * fat_tailed(rng, (days,)),
        sectors=SECTOR_VOLATILITY * fat_tailed(rng, (sectors, days)),
        agitation=np.sqrt(volatility / BULL.volatility),
    )
