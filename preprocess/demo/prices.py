"""The demo market's prices, played forward day by day: no day knows of a later one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.demo.companies import Companies, Flags
from preprocess.demo.noise import Noise
from preprocess.demo.regimes import Factors
from preprocess.demo.results import Filings
from preprocess.demo.signal import propensity, see
from preprocess.market import Days, Floats

COARSE_TICK_FROM_RS = 250.0
FINE_TICK_PAISE, COARSE_TICK_PAISE = 1.0, 5.0

RUN_UP_DAYS = 5
RUN_UP_VOLUME = 0.38  # added to the volume's logarithm, for one unit of attention
RUN_UP_DRIFT = 0.0025

SMALLEST_JUMP, JUMP_SCALE = 0.054, 0.035
DROP_SHARE, SMALLEST_DROP, DROP_SCALE = 0.10, 0.02, 0.025
LOCKED_SIZE = 1.6  # a jump of more than this size opens where it closes
EVENT_VOLUME = 0.9  # added to the volume's logarithm when the market reacts to results
MOVE_VOLUME = 9.0  # added to the same, for each unit of the day's return

# A thin stock's day by its draw of `quiet`: nothing traded; one trade at the old price; one trade.
UNTRADED, UNCHANGED, ONE_PRICE = 0.06, 0.30, 0.60


@dataclass(frozen=True, slots=True)
class Played:
    """Bars as traded, rupees and shares, [n, days], meaningful where the company's `rows` are set.

    `propensity` [n, quarters] is the hidden chance of a jump after each filing that fell into the
    market's days; NaN for the others.
    """

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: NDArray[np.int64]
    propensity: Floats


def play(
    companies: Companies, filings: Filings, factors: Factors, noise: Noise, days: Days
) -> Played:
    """Play the market over `days` (day numbers, ascending)."""
    game = _Game(companies, filings, factors, noise, days)
    for day in range(len(days)):
        game.trade(day)
        game.hear(day)
    return game.played


class _Game:
    """The market in play: what has happened so far, and what it is about to react to."""

    def __init__(
        self, companies: Companies, filings: Filings, factors: Factors, noise: Noise, days: Days
    ) -> None:
        self.companies, self.filings, self.days = companies, filings, days
        self.factors, self.noise = factors, noise
        shape = companies.rows.shape
        self.played = Played(
            open=np.zeros(shape),
            high=np.zeros(shape),
            low=np.zeros(shape),
            close=np.zeros(shape),
            volume=np.zeros(shape, dtype=np.int64),
            propensity=np.full(filings.filed.shape, np.nan),
        )
        self.ratios = companies.ratios
        self.grown = np.cumprod(self.ratios, axis=1)
        # The last trading day on or before an announcement, as the label's rule has it.
        self.heard_on = np.where(
            filings.filed, np.searchsorted(days, filings.announced, side="right") - 1, -1
        )
        self.run_up = _run_up(noise.attention, self.heard_on, len(days))
        self.previous = companies.price
        self.chance = np.zeros(len(companies))  # of a jump on the next row
        self.verdict = np.full(len(companies), np.nan)  # NaN: nothing to react to
        self.size = np.zeros(len(companies))

    def trade(self, day: int) -> None:
        """Make the day's bars."""
        companies, noise = self.companies, self.noise
        live = companies.rows[:, day]
        reference = self.previous / self.ratios[:, day]
        volatility = companies.volatility * self.factors.agitation[day]
        jumps = live & (self.verdict < self.chance)
        moves = self._moves(day, volatility, jumps)
        quiet = np.where(companies.thin & ~jumps, noise.quiet[:, day], 1.0)
        moves[quiet < UNCHANGED] = 0.0

        tick = np.where(reference >= COARSE_TICK_FROM_RS, COARSE_TICK_PAISE, FINE_TICK_PAISE)
        upper = _paise(reference * (1.0 + companies.band), tick)
        lower = np.maximum(_paise(reference * (1.0 - companies.band), tick), tick)
        close = np.clip(_paise(reference * (1.0 + moves), tick), lower, upper)
        overnight = 0.3 * moves + 0.35 * volatility * noise.overnight[:, day]
        opening = np.clip(_paise(reference * (1.0 + overnight), tick), lower, upper)
        one_price = (quiet < ONE_PRICE) | (jumps & (self.size > LOCKED_SIZE))
        opening = np.where(one_price, close, opening)
        top, bottom = np.maximum(opening, close), np.minimum(opening, close)
        reach = np.where(one_price, 0.0, 0.45 * volatility)
        high = _paise(top / 100.0 * (1.0 + reach * noise.above[:, day]), tick)
        low = _paise(bottom / 100.0 * (1.0 - reach * noise.below[:, day]), tick)

        played = self.played
        played.open[:, day] = opening / 100.0
        played.close[:, day] = close / 100.0
        played.high[:, day] = np.minimum(high, upper) / 100.0
        played.low[:, day] = np.maximum(low, lower) / 100.0
        played.volume[:, day] = np.where(quiet < UNTRADED, 0, self._volumes(day, moves, live))
        self.previous = np.where(live, played.close[:, day], reference)
        self.verdict[live] = np.nan

    def _moves(self, day: int, volatility: Floats, jumps: Flags) -> Floats:
        companies, factors = self.companies, self.factors
        moves = (
            companies.beta * factors.market[day]
            + factors.sectors[companies.industry, day]
            + volatility * self.noise.move[:, day]
            + RUN_UP_DRIFT * self.run_up[:, day]
        )
        drops = self.verdict >= np.maximum(self.chance, 1.0 - DROP_SHARE)
        moves = np.where(drops, -SMALLEST_DROP - DROP_SCALE * self.size, moves)
        return np.where(jumps, SMALLEST_JUMP + JUMP_SCALE * self.size, moves)

    def _volumes(self, day: int, moves: Floats, live: Flags) -> NDArray[np.int64]:
        reacting = live & ~np.isnan(self.verdict)
        logarithm = (
            self.noise.volume[:, day]
            + MOVE_VOLUME * np.abs(moves)
            + RUN_UP_VOLUME * self.run_up[:, day]
            + EVENT_VOLUME * reacting
        )
        typical = self.companies.daily_shares * self.grown[:, day]
        shares: NDArray[np.int64] = np.maximum(np.rint(typical * np.exp(logarithm)), 1.0).astype(
            np.int64
        )
        return shares

    def hear(self, day: int) -> None:
        """After the close: weigh what was announced, from nothing but what can be seen by then."""
        filings, noise = self.filings, self.noise
        for company, place in np.argwhere(self.heard_on == day).tolist():
            rows = np.flatnonzero(self.companies.rows[company, : day + 1])
            if len(rows) == 0:
                continue
            grown = self.grown[company, rows]
            chance = propensity(
                see(
                    int(self.companies.industry[company]),
                    float(filings.pat[company, place]),
                    filings.pat_year_ago(company, place),
                    self.played.close[company, rows] * grown,
                    self.played.volume[company, rows] / grown,
                    traded=bool(self.days[rows[-1]] == filings.announced[company, place]),
                )
            )
            self.played.propensity[company, place] = self.chance[company] = chance
            self.verdict[company] = noise.verdict[company, place]
            self.size[company] = noise.size[company, place]


def _paise(rupees: Floats, tick: Floats) -> Floats:
    """Rupees in whole paise, on the nearest tick."""
    paise: Floats = np.rint(rupees * 100.0 / tick) * tick
    return paise


def _run_up(attention: Floats, heard_on: NDArray[np.int64], days: int) -> Floats:
    """Attention [n, days] on the announcement's day and the four trading days before it."""
    run_up = np.zeros((len(attention), days))
    companies, places = np.nonzero(heard_on >= 0)
    for back in range(RUN_UP_DAYS):
        day = heard_on[companies, places] - back
        known = day >= 0
        np.add.at(run_up, (companies[known], day[known]), attention[companies, places][known])
    return run_up
