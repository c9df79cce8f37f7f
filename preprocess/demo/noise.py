"""All chance in the demo market's prices, drawn before the first day is played."""

from dataclasses import dataclass

import numpy as np

from preprocess.demo.regimes import fat_tailed
from preprocess.market import Floats

VOLUME_MEMORY = 0.6
VOLUME_DEVIATION = 0.38


@dataclass(frozen=True, slots=True)
class Noise:
    """Draws by company and day [n, days], and by company and filing [n, quarters].

    Day by day: `move` (variance 1), `overnight` (normal), `above` and `below` (how far high and
    low reach out, 0 or more), `volume` (logarithm), `quiet` (uniform, decides whether a thin stock
    trades). Filing by filing: `attention` (0 or more, how much is guessed before the results),
    `verdict` (uniform, decides the reaction), `size` (exponential, how far it goes).
    """

    move: Floats
    overnight: Floats
    above: Floats
    below: Floats
    volume: Floats
    quiet: Floats
    attention: Floats
    verdict: Floats
    size: Floats


def draw_noise(rng: np.random.Generator, companies: int, days: int, filings: int) -> Noise:
    """The noise of a whole market."""
    by_day, by_filing = (companies, days), (companies, filings)
    volume = VOLUME_DEVIATION * rng.standard_normal(by_day)
    for day in range(1, days):
        volume[:, day] += VOLUME_MEMORY * volume[:, day - 1]
    return Noise(
        move=fat_tailed(rng, by_day),
        overnight=rng.standard_normal(by_day),
        above=np.abs(rng.standard_normal(by_day)),
        below=np.abs(rng.standard_normal(by_day)),
        volume=volume,
        quiet=rng.random(by_day),
        attention=rng.exponential(1.0, by_filing),
        verdict=rng.random(by_filing),
        size=rng.exponential(1.0, by_filing),
    )
