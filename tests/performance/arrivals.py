"""Prices that arrive while others ask: commits in a thread of their own."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import numpy as np

from preprocess.market.calendar import from_day_number
from preprocess.market.values import Bar
from preprocess.settings import Settings
from preprocess.store import Store, open_store
from tests.performance.mix import Mix


@dataclass
class Arrivals:
    """What has been committed so far, and an error if that failed."""

    commits: int = 0
    errors: list[Exception] = field(default_factory=list)


@contextmanager
def arriving(settings: Settings, mix: Mix, *, every_s: float, stocks: int) -> Iterator[Arrivals]:
    """A commit every so often, of a corrected close for so many stocks, drawn as those asked for.

    Raises:
        RuntimeError: a commit failed.
    """
    found = Arrivals()
    over = threading.Event()
    thread = threading.Thread(
        target=_commit, args=(settings, mix, every_s, stocks, found, over), name="arrivals"
    )
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
    if found.errors:
        raise RuntimeError("no prices arrived") from found.errors[0]


def _commit(  # noqa: PLR0917 - the arguments of a thread
    settings: Settings,
    mix: Mix,
    every_s: float,
    stocks: int,
    found: Arrivals,
    over: threading.Event,
) -> None:
    random = np.random.default_rng(mix.seed + 2)
    ranked, shares = mix.by_rank, mix.shares
    try:
        with closing(open_store(settings, write=True)) as store:
            while not over.wait(every_s):
                ranks = random.choice(len(ranked), stocks, replace=False, p=shares)
                bars = [_corrected(store, ranked[rank], random) for rank in ranks.tolist()]
                with store.transaction() as writer:
                    writer.put_prices(bars)
                found.commits += 1
    except Exception as error:  # noqa: BLE001 - told to whoever waits for the thread
        found.errors.append(error)


def _corrected(store: Store, code: str, random: np.random.Generator) -> Bar:
    """The newest bar of a stock, closed elsewhere between its low and its high."""
    history = store.history(code)
    if history is None:
        raise RuntimeError(f"{code} is not in the market")
    prices = history.prices
    low, high = float(prices.low[-1]), float(prices.high[-1])
    return Bar(
        code,
        from_day_number(prices.days[-1]),
        float(prices.open[-1]),
        high,
        low,
        float(np.clip(round(random.uniform(low, high), 2), low, high)),
        int(prices.volume[-1]),
    )
