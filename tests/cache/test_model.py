"""Two replicas and a spoilt Redis against a model that knows the truth.

Commits, clears, computations that take long, a Redis that is killed, frozen, restarted empty or
loses its fences, in any order: once an invalidation has returned, nobody answers older data.
"""

import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from preprocess.cache.reading import FENCES, LEASES, LOG, SEEN
from preprocess.cache_manager import CacheManager
from tests.cache.conftest import quick
from tests.redis import RedisServer

STOCKS = ("500001", "500002")
replica = st.integers(0, 1)
stock = st.sampled_from(STOCKS)


class LongComputation:
    """Features read at the beginning, given back when the test says so."""

    def __init__(self, cache: CacheManager, code: str, version: int) -> None:
        self._entered, self._release = threading.Event(), threading.Event()
        self._answer = [code, version]
        self._thread = threading.Thread(
            target=cache.get_or_compute, args=(features(code), self._compute, 100)
        )
        self._thread.start()
        while self._thread.is_alive() and not self._entered.wait(0.005):
            pass  # it is held already, or Redis is being waited for

    def _compute(self) -> object:
        self._entered.set()
        assert self._release.wait(10)
        return self._answer

    def finish(self) -> None:
        self._release.set()
        self._thread.join()


def features(code: str) -> str:
    return f"features:{code}:d:h"


class TwoReplicas(RuleBasedStateMachine):
    """`truth` is the version of each stock's data; every value is a stock and a version."""

    server: RedisServer

    def __init__(self) -> None:
        super().__init__()
        self.truth: Counter[str] = Counter()
        self.state = "up"
        self.long: list[LongComputation] = []
        self.folder = tempfile.TemporaryDirectory()
        self.replicas: list[CacheManager] = []

    @initialize()
    def begin(self) -> None:
        plan = quick(
            self.server.url,
            folder=Path(self.folder.name),
            timeout_s=0.03,
            retry_s=0.03,
            lease_s=0.1,
            renew_s=0.03,
            wait_s=0.02,
            jitter=0.0,
        )
        self.replicas = [CacheManager(plan) for _ in range(2)]
        self.replicas[0].invalidate()  # what the run before has left is of another market

    @rule(at=replica, code=stock)
    def ask_for_features(self, at: int, code: str) -> None:
        assert self.features(at, code) == [code, self.truth[code]]

    @rule(at=replica, of=replica, code=stock)
    def ask_for_a_prediction(self, at: int, of: int, code: str) -> None:
        """Made of features that the other replica may have."""
        key = f"prediction:{code}:d:1:fp32"
        compute: Callable[[], object] = lambda: self.features(of, code)  # noqa: E731 - typed
        assert self.replicas[at].get_or_compute(key, compute, 100) == [code, self.truth[code]]

    @rule(at=replica)
    def ask_for_all(self, at: int) -> None:
        lookup = self.replicas[at].get_many([features(code) for code in STOCKS])
        for key, value in lookup.values.items():
            code = key.split(":")[1]
            assert value == [code, self.truth[code]]

    @rule(at=replica, code=stock)
    def commit(self, at: int, code: str) -> None:
        self.truth[code] += 1
        self.replicas[at].invalidate(stocks=[code])

    @rule(at=replica, pattern=st.sampled_from(["*", "*:500001:*", "features:*", "query:*"]))
    def clear(self, at: int, pattern: str) -> None:
        if "500001" in pattern or pattern == "*":
            self.truth["500001"] += 1
        if pattern == "*":
            self.truth["500002"] += 1
        self.replicas[at].invalidate_pattern(pattern)

    @rule(at=replica, code=stock)
    def begin_a_long_computation(self, at: int, code: str) -> None:
        if len(self.long) < 3:
            self.long.append(LongComputation(self.replicas[at], code, self.truth[code]))

    @rule()
    def finish_a_long_computation(self) -> None:
        if self.long:
            self.long.pop(0).finish()

    @precondition(lambda self: self.state == "up")
    @rule()
    def freeze(self) -> None:
        self.server.freeze()
        self.state = "frozen"

    @precondition(lambda self: self.state != "down")
    @rule()
    def kill(self) -> None:
        self.server.kill()
        self.state = "down"

    @precondition(lambda self: self.state != "up")
    @rule()
    def restore(self) -> None:
        self.server.thaw() if self.state == "frozen" else self.server.start()
        self.state = "up"

    @precondition(lambda self: self.state == "up")
    @rule(lost=st.sampled_from([FENCES, LOG, LEASES, SEEN]))
    def lose_a_key(self, lost: str) -> None:
        with redis.Redis.from_url(self.server.url, socket_timeout=5) as client:
            client.delete(lost)

    @precondition(lambda self: self.state == "up")
    @rule(at=replica)
    def wait_until_redis_is_used_again(self, at: int) -> None:
        for _ in range(1000):
            if self.replicas[at].core.availability.may_be_asked:
                return
            threading.Event().wait(0.01)
        raise AssertionError("Redis is up, and not used")

    def teardown(self) -> None:
        for computation in self.long:
            computation.finish()
        if self.state == "frozen":
            self.server.thaw()
        for cache in self.replicas:
            cache.close()
        if self.state == "down":
            self.server.start()
        self.folder.cleanup()

    def features(self, at: int, code: str) -> object:
        compute: Callable[[], object] = lambda: [code, self.truth[code]]  # noqa: E731 - typed
        return self.replicas[at].get_or_compute(features(code), compute, 100)


def test_nobody_answers_older_data(shared_redis: RedisServer) -> None:
    class Machine(TwoReplicas):
        server = shared_redis

    test = Machine.TestCase
    test.settings = settings(
        max_examples=15,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    test("runTest").debug()
