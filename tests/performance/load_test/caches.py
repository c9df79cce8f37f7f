"""Hit rates of the gateways' caches, followed while a load runs."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import httpx
import numpy as np

from preprocess.market import Floats
from tests.performance.load_test.beside import beside

_INTERVAL_S = 1.0
_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Counts:
    """Keys that were asked for so far, of all gateways together."""

    at: float
    asked: int
    hits: int


@dataclass
class CacheCounts:
    """Counts by kind, once a second."""

    by_kind: dict[str, list[Counts]] = field(default_factory=dict)

    def hit_rate(self, kind: str, begin: float, end: float) -> float | None:
        """Share of what was asked between two moments; None if nothing was."""
        asked, hits = (
            _between(self.by_kind.get(kind, []), name, begin, end) for name in ("asked", "hits")
        )
        return hits / asked if asked >= 1 else None

    def rates(self, kind: str) -> tuple[Floats, Floats]:
        """The hit rate of each second in which something was asked, and its end."""
        counts = self.by_kind[kind]
        at = np.array([count.at for count in counts])
        asked = np.diff([count.asked for count in counts])
        hits = np.diff([count.hits for count in counts])
        some = asked > 0
        return at[1:][some], hits[some] / asked[some]


def _between(counts: Sequence[Counts], name: str, begin: float, end: float) -> float:
    if not counts:
        return 0.0
    at, values = [c.at for c in counts], [getattr(c, name) for c in counts]
    return float(np.interp(end, at, values) - np.interp(begin, at, values))


@contextmanager
def following(urls: Sequence[str]) -> Iterator[CacheCounts]:
    """Ask each gateway at its own address, until the block ends."""
    found = CacheCounts()
    with beside(partial(_follow, urls, found), "caches"):
        yield found


def _follow(urls: Sequence[str], found: CacheCounts, over: threading.Event) -> None:
    with httpx.Client(timeout=_TIMEOUT_S, trust_env=False) as client:
        while True:
            with suppress(httpx.TransportError):  # while a gateway is being replaced
                _ask(client, urls, found)
            if over.wait(_INTERVAL_S):
                return


def _ask(client: httpx.Client, urls: Sequence[str], found: CacheCounts) -> None:
    totals: dict[str, list[int]] = {}
    for number, url in enumerate(urls):
        document = client.get(f"{url}/api/v1/cache/stats").json()
        counts = {kind: stats["since_start"] for kind, stats in document["kinds"].items()}
        # All gateways tell the same of the one features model.
        counts["features model"] = document["features_model"] if number == 0 else None
        for kind, since in counts.items():
            if since is not None:
                total = totals.setdefault(kind, [0, 0])
                total[0] += since["asked"]
                total[1] += since["asked"] - since["misses"]
    now = time.monotonic()
    for kind, (asked, hits) in totals.items():
        found.by_kind.setdefault(kind, []).append(Counts(now, asked, hits))
