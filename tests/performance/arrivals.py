"""Prices that arrive while predictions are requested: commits in a thread of their own."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import numpy as np

from preprocess.market.calendar import from_day_number
from preprocess.market.values import Bar
from preprocess.settings import Settings
from preprocess.store import Store, open_store
from tests.performance.load_test.mix import Mix


@contextmanager
def arriving(settings: Settings, mix: Mix, *, every_s: float, stocks: int) -> Iterator[None]:
    """Every `every_s` seconds commit a corrected close for `stocks` stocks, popular ones first.

    Whatever error a commit raises is raised when the block ends.
    """
    over = threading.Event()
    with ThreadPoolExecutor(1, "arrivals") as pool:
        job = pool.submit(_commit, settings, mix, every_s, stocks, over)
        try:
            yield
        finally:
            over.set()
        job.result()


def _commit(
    settings: Settings, mix: Mix, every_s: float, stocks: int, over: threading.Event
) -> None:
    random = np.random.default_rng(mix.seed + 2)
    popular, shares = mix.popular, mix.shares
    with closing(open_store(settings, write=True)) as store:
        while not over.wait(every_s):
            ranks = random.choice(len(popular), stocks, replace=False, p=shares)
            bars = [_corrected(store, popular[rank][0], random) for rank in ranks.tolist()]
            with store.transaction() as writer:
                writer.put_prices(bars)


def _corrected(store: Store, code: str, random: np.random.Generator) -> Bar:
    """The newest bar of a stock, with another close between its low and its high."""
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
