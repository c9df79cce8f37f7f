"""Hit rates of the mix: several gateways on one Redis, times to live running, prices arriving.

A time to live of an hour does not fit into a benchmark. What a cache holds depends on how often
a key is asked for within its time to live, so both are changed by one factor: requests come so
many times faster, and times to live and the pauses between commits are so many times shorter.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from preprocess.settings import Settings
from tests.performance.arrivals import Arrivals, arriving
from tests.performance.gateways import Counts, gateways
from tests.performance.mix import Mix, Sent, send

# What is imitated: the mix's rate in the goals, and the times to live that Tezi ships.
RATE, FEATURES_S, PREDICTIONS_S, LOCAL_S = 100.0, 300.0, 3600.0, 60.0
COMMIT_EVERY_S, COMMIT_STOCKS = 4.0, 20


@dataclass(frozen=True)
class Pace:
    """How many times faster than what is imitated, and for how many seconds."""

    faster: float
    warming_s: float
    measured_s: float
    gateways: int

    def settings(self, **switches: bool) -> dict[str, object]:
        """Times to live of this pace."""
        return {
            "cache_features_ttl_s": FEATURES_S / self.faster,
            "cache_predictions_ttl_s": PREDICTIONS_S / self.faster,
            "cache_local_ttl_s": LOCAL_S / self.faster,
            **switches,
        }


@dataclass(frozen=True)
class Found:
    """One run of the mix: what the caches were asked, what was sent, what arrived."""

    features: Counts
    predictions: Counts
    sent: Sent
    arrivals: Arrivals


def run_mix(settings: Settings, mix: Mix, pace: Pace) -> Found:
    """Warm the caches up, then count."""
    rate = RATE * pace.faster
    requests = mix.requests(int(rate * (pace.warming_s + pace.measured_s)) + 1)

    def load(urls: Sequence[str], seconds: float) -> Sent:
        return asyncio.run(send(urls, requests, rate=rate, seconds=seconds))

    with (
        gateways(settings, pace.gateways) as running,
        arriving(
            settings, mix, every_s=COMMIT_EVERY_S / pace.faster, stocks=COMMIT_STOCKS
        ) as arrivals,
    ):
        load(running.urls, pace.warming_s)
        features, predictions = running.features(), running.predictions()
        sent = load(running.urls, pace.measured_s)
        return Found(
            running.features() - features, running.predictions() - predictions, sent, arrivals
        )
