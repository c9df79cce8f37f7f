"""The evening of a whole market beside live traffic, and what the first to ask afterwards get.

All of it twice, with a cache that the gateways fill before anyone asks and with one that they do
not: the stack comes up, people ask 200 times a second, a file of the exchange for the next session
is imported and the market scored meanwhile, and then people ask about that session.
"""

import csv
import re
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from preprocess.errors import TeziError
from preprocess.market.columns import MarketColumns
from preprocess.market.values import Floats
from preprocess.settings import load_settings
from preprocess.store.sqlite.store import SQLiteStore
from tests.integration.stack import RunningStack, tezi
from tests.performance.load_test.campaign import prediction_counts
from tests.performance.load_test.mix import Mix
from tests.performance.load_test.scenario import constant
from tests.performance.load_test.whole_stack import CACHE, GATEWAYS, thresholds, whole_stack
from tests.performance.load_test.worker import Outcome, Source, load_source
from tests.performance.market import LAST_DAY, SEED, SMALL, WHOLE, BenchMarket, generated_market
from tests.performance.pairs import Pair, newest_pairs
from tests.performance.report import Report
from tests.performance.row import Row

_BESIDE_RATE, _STEADY_RATE = 200.0, 100.0
_TRADED = 5_000  # stocks of the file: as many as trade at BSE on a day
_NEXT = LAST_DAY + timedelta(days=3)  # a Monday
_LONGEST_WARMING_S = 300.0
_UDIFF = (
    "TradDt,BizDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,FinInstrmNm,"
    "OpnPric,HghPric,LwPric,ClsPric,LastPric,PrvsClsgPric,TtlTradgVol,TtlTrfVal"
)
_IMPORT = re.compile(r"import ([0-9.]+)")


@dataclass(frozen=True)
class _Evening:
    """`whole_s` is the command's time; latencies are in ms, `rows` those of the file."""

    whole_s: float
    import_s: float
    rows: int
    stocks: int
    alone: Outcome
    beside_ms: Floats
    warming_s: float
    after: Outcome
    hit_rate: float

    @property
    def failures(self) -> int:
        return self.alone.errors + self.after.errors


def run(*, quick: bool, command: str) -> Report:
    """Measure two evenings; `quick` takes a market of 100 stocks, and seconds of load."""
    home = load_settings().home
    market = generated_market(home, SMALL if quick else WHOLE)
    seconds = 4.0 if quick else 60.0
    cold, warm = (_evening(market, home / "bench" / "evening", w, seconds) for w in (False, True))
    return Report(
        name="evening",
        command=command,
        seed=SEED,
        rows=[
            Row("evening", warm.whole_s, "s", note=f"{warm.stocks:,} stocks scored, under load"),
            Row("evening_import", warm.import_s, "s", note=f"of {warm.rows:,} rows, UDiFF"),
            Row(
                "beside_p99",
                float(np.percentile(warm.beside_ms, 99)),
                "ms",
                baseline=warm.alone.quantile(99),
                goal_ratio=0.5,
                note=f"{_BESIDE_RATE:g}/s while the evening runs, against before",
            ),
            Row("warming", warm.warming_s, "s", note="from the evening's end until all is cached"),
            Row(
                "hit_rate_after",
                warm.hit_rate,
                "of the predictions",
                baseline=cold.hit_rate,
                note=f"{_STEADY_RATE:g}/s for {seconds:g} s about the new session",
            ),
            Row("p95_after", warm.after.quantile(95), "ms", baseline=cold.after.quantile(95)),
            Row("failures", cold.failures + warm.failures, "failures", goal=0),
        ],
        samples={
            "before": warm.alone.latency_ms.tolist(),
            "beside": warm.beside_ms.tolist(),
            "after, warm": warm.after.latency_ms.tolist(),
            "after, not warmed": cold.after.latency_ms.tolist(),
        },
        settings={"stocks": warm.stocks, "gateways": GATEWAYS, **CACHE},
    )


def _evening(market: BenchMarket, folder: Path, warmed: bool, seconds: float) -> _Evening:
    folder.mkdir(parents=True, exist_ok=True)
    own = BenchMarket(market.name, folder / "evening.db", market.naive)
    shutil.copyfile(market.database, own.database)
    with closing(SQLiteStore(own.database)) as store:
        columns = store.columns()
    files = folder / "files"
    rows = write_udiff(files, columns)
    before = newest_pairs(columns)
    tomorrow = [(code, _NEXT.isoformat()) for code, _ in before]
    with (
        whole_stack(own, folder, warm_cache=warmed) as whole,
        load_source(whole.stack.url, thresholds(whole.stack.url)) as source,
    ):
        if warmed:
            _wait_until_warm(whole.stack, 1)
        source.send(Mix(before, SEED), constant(_BESIDE_RATE, seconds))
        alone = source.send(Mix(before, SEED, 1), constant(_BESIDE_RATE, seconds))
        passes = _passes(whole.stack)
        whole_s, import_s, beside_ms = _beside(whole.stack, source, files, before, seconds)
        began = time.monotonic()
        if warmed:
            _wait_until_warm(whole.stack, passes + 1)
        warming_s = round(time.monotonic() - began, 1)
        asked = prediction_counts(whole.gateway_urls)
        after = source.send(Mix(tomorrow, SEED, 3), constant(_STEADY_RATE, seconds))
        counts = prediction_counts(whole.gateway_urls)
    own.database.unlink()
    hits = 1.0 - (counts.misses - asked.misses) / max(counts.asked - asked.asked, 1)
    return _Evening(whole_s, import_s, rows, len(before), alone, beside_ms, warming_s, after, hits)


def _beside(
    stack: RunningStack, source: Source, files: Path, pairs: Sequence[Pair], seconds: float
) -> tuple[float, float, Floats]:
    """Seconds of the evening, of its import, and the latencies of the requests due meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(source.send, Mix(pairs, SEED, 2), constant(_BESIDE_RATE, seconds))
        time.sleep(min(seconds / 4, 5.0))
        began = time.monotonic()
        done = tezi(stack.settings, "evening", files, covered=False)
        ended = time.monotonic()
        outcome = load.result()
    found = _IMPORT.search(done.stdout)
    if found is None or outcome.errors:
        raise TeziError(f"The evening did not go well: {outcome.failures}\n{done.stdout}")
    due = outcome.began + outcome.due_s
    return ended - began, float(found[1]), outcome.latency_ms[(due >= began) & (due <= ended)]


def _passes(stack: RunningStack) -> int:
    return stack.output().count("the cache is warm")


def _wait_until_warm(stack: RunningStack, passes: int) -> None:
    began = time.monotonic()
    while _passes(stack) < passes:
        if time.monotonic() - began > _LONGEST_WARMING_S:
            raise TeziError(f"The cache was not warm within {_LONGEST_WARMING_S:g} s.")
        time.sleep(0.1)


def write_udiff(folder: Path, columns: MarketColumns) -> int:
    """Write BSE's file of the next session, closes as before; the number of its rows."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    prices = columns.prices
    newest = np.asarray(prices.starts)[1:] - 1
    traded = np.flatnonzero(np.asarray(prices["day"])[newest] == prices["day"].max())[:_TRADED]
    closes = np.asarray(prices["close"])[newest]
    name = f"BhavCopy_BSE_CM_0_0_0_{_NEXT:%Y%m%d}_F_0000.CSV"
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_UDIFF.split(","))
        for index in traded.tolist():
            code, close = columns.codes[index].decode(), f"{closes[index]:.2f}"
            about = [_NEXT, _NEXT, "CM", "BSE", "STK", code, "", code, "A", code]
            writer.writerow([*about, *[close] * 6, 1000, f"{1000 * closes[index]:.2f}"])
    return len(traded)
