"""Two gateways that cache, one Redis, one market, against a model that knows the truth.

Commits, clears, swaps of the model, computations that take long, and a Redis that is killed or
frozen, in any order: once an invalidation has returned, no gateway answers from before it.
"""

import asyncio
import hashlib
import tempfile
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from gateway.cache.redis.reading import GENERATIONS
from gateway.ports import InferenceResult, PredictionQuery
from preprocess.market.golden_row import GOLDEN_CODE
from preprocess.market.values import Bar
from preprocess.store import open_store
from tests.gateway.fakes import (
    ADMIN_TOKEN,
    AUTHORIZED,
    TODAY,
    FakePredictor,
    Running,
    answer,
    item,
    put_labels,
    running_app,
    write_version,
)
from tests.redis import RedisServer, running_redis

STOCKS = ("500001", "500002", "500003")
at_gateway = st.integers(0, 1)
stock = st.sampled_from(STOCKS)
variant = st.sampled_from(["fp32", "int8"])


def probability(code: str, version: int, kind: str, generation: int) -> float:
    """What a version says of a stock's data; no two are the same."""
    digest = hashlib.sha256(f"{code} {version} {kind} {generation}".encode()).digest()
    return int.from_bytes(digest[:2], "big") / 65_536


class TruePredictor(FakePredictor):
    """Answers by the data as they are when it is asked, once nobody holds it back."""

    def __init__(self, truth: Counter[str]) -> None:
        super().__init__()
        self.truth = truth
        self.held_back: asyncio.Event | None = None

    async def predict(
        self, queries: Sequence[PredictionQuery], timeout_s: float
    ) -> list[InferenceResult]:
        if queries[0].bse_code == GOLDEN_CODE:
            return await super().predict(queries, timeout_s)
        found = [
            answer(
                query.bse_code,
                query.prediction_date,
                probability=probability(
                    query.bse_code, query.version or 0, query.variant, self.truth[query.bse_code]
                ),
                model_version=query.version or 0,
            )
            for query in queries
        ]
        self.calls.append(list(queries))
        if self.held_back is not None:
            await self.held_back.wait()
        return found


class TwoGateways(RuleBasedStateMachine):
    """`truth` counts what has happened to the data of each stock."""

    server: RedisServer

    def __init__(self) -> None:
        super().__init__()
        self.truth: Counter[str] = Counter()
        self.stable = 1
        self.redis = "up"
        self.commits = 0
        self.long: list[asyncio.Task[Any]] = []
        self.releases: list[asyncio.Event] = []
        self.begun: list[tuple[int, str, str, int, int]] = []
        self.days = 0
        self.runner = asyncio.Runner()
        self.exit = AsyncExitStack()
        self.folder = tempfile.TemporaryDirectory()
        self.gateways: list[Running] = []

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        async def start() -> None:
            for _ in range(2):
                app = running_app(
                    Path(self.folder.name),
                    predictor=TruePredictor(self.truth),
                    variants=("fp32", "int8"),
                    publish=not self.gateways,
                    market=not self.gateways,
                    cache_predictions=True,
                    admin_token=ADMIN_TOKEN,
                    redis_url=self.server.url,
                    redis_timeout_ms=30,
                    redis_retry_s=0.05,
                    max_in_flight=64,
                )
                self.gateways.append(await self.exit.enter_async_context(app))
            write_version(self.gateways[0].settings, 2, variants=("fp32", "int8"))
            # What the run before has left in Redis is of another market.
            await self.clear_at(0, "")

        self.wait(start())

    async def clear_at(self, at: int, query: str) -> None:
        response = await self.gateways[at].client.post(
            f"/api/v1/cache/clear{query}", headers=AUTHORIZED
        )
        assert response.status_code == 200, response.text

    def expected(self, code: str, kind: str) -> float:
        return probability(code, self.stable, kind, self.truth[code])

    @invariant()
    def every_gateway_tells_the_truth(self) -> None:
        """All stocks in a batch, so that every change meets values that are held."""
        for gateway in self.gateways:
            for kind in ("fp32", "int8"):
                items = [item(code, TODAY, variant=kind) for code in STOCKS]
                for found in self.wait(gateway.batch(*items)).json():
                    assert found["model_version"] == self.stable
                    assert found["probability"] == self.expected(found["bse_code"], kind)

    @rule(at=at_gateway, code=stock, kind=variant)
    def query(self, at: int, code: str, kind: str) -> None:
        response = self.wait(self.gateways[at].predict(bse_code=code, variant=kind))
        assert response.status_code == 200, response.text
        assert response.json()["probability"] == self.expected(code, kind)

    @rule(code=stock)
    def commit_one(self, code: str) -> None:
        self.commit({code})

    @rule(codes=st.sets(stock, min_size=2))
    def commit(self, codes: set[str]) -> None:
        """Real rows in a real database; each gateway's follower says when it is done with them."""
        self.commits += 1
        store = open_store(self.gateways[0].settings, write=True)
        self.truth.update(codes)
        with store.transaction() as writer:
            writer.put_prices(
                [Bar(c, date(2026, 8, 13), 10, 10, 10, 10 + self.commits, 5) for c in codes]
            )
        store.close()
        for gateway in self.gateways:
            changes = gateway.app.state.gateway.changes
            self.wait(asyncio.to_thread(changes.poll))

    @rule(at=at_gateway, code=st.none() | stock, kind=st.sampled_from(["all", "predictions"]))
    def clear(self, at: int, code: str | None, kind: str) -> None:
        self.truth.update(STOCKS if code is None else [code])
        of_stock = "" if code is None else f"&bse_code={code}"
        self.wait(self.clear_at(at, f"?type={kind}{of_stock}"))

    @rule(version=st.integers(1, 2))
    def swap(self, version: int) -> None:
        if version != self.stable:
            put_labels(self.gateways[0].settings, stable=version, previous=self.stable)
            self.stable = version
            for gateway in self.gateways:
                self.wait(gateway.app.state.gateway.router.refresh())

    @rule(at=at_gateway, code=stock)
    def begin_a_long_computation(self, at: int, code: str) -> None:
        """Of a day that nobody else asks for: what is held already is not computed."""
        gateway = self.gateways[at]
        predictor = gateway.predictor
        assert isinstance(predictor, TruePredictor)
        release = asyncio.Event()
        self.days += 1
        day = (date(2026, 8, 13) - timedelta(days=self.days)).isoformat()

        async def begin() -> None:
            predictor.held_back = release
            self.long.append(
                asyncio.create_task(gateway.predict(bse_code=code, prediction_date=day))
            )
            async with asyncio.timeout(60):
                while len(predictor.calls) == calls:
                    await asyncio.sleep(0.005)

        calls = len(predictor.calls)
        self.wait(begin())
        predictor.held_back = None
        self.releases.append(release)
        self.begun.append((at, code, day, self.stable, self.truth[code]))

    @rule()
    def finish_the_long_computations(self) -> None:
        for at, code, day, stable, generation in self.begun:
            if (stable, generation) != (self.stable, self.truth[code]):
                self.ask_for_day(at, code, day)  # of which only something old is under way

        async def finish() -> None:
            for release in self.releases:
                release.set()
            await asyncio.gather(*self.long)

        self.wait(finish())
        self.long.clear()
        self.releases.clear()
        for at, code, day, *_ in self.begun:
            self.ask_for_day(at, code, day)
        self.begun.clear()

    def ask_for_day(self, at: int, code: str, day: str) -> None:
        found = self.wait(self.gateways[at].predict(bse_code=code, prediction_date=day))
        assert found.status_code == 200, found.text
        assert found.json()["probability"] == self.expected(code, "fp32")

    @precondition(lambda self: self.redis == "up")
    @rule(is_killed=st.booleans())
    def redis_fails(self, is_killed: bool) -> None:
        if is_killed:
            self.server.kill()
            self.redis = "down"
        else:
            self.server.freeze()
            self.redis = "frozen"

    @precondition(lambda self: self.redis != "up")
    @rule()
    def redis_comes_back(self) -> None:
        """Used again, too: most of what can go wrong goes wrong when it is."""
        self.server.thaw() if self.redis == "frozen" else self.server.start()
        self.redis = "up"

        async def until_used() -> None:
            async with asyncio.timeout(60):
                for gateway in self.gateways:
                    core = gateway.app.state.gateway.cache.core
                    while not (core.availability.may_be_asked and core.is_current):
                        await asyncio.sleep(0.01)

        self.wait(until_used())

    @precondition(lambda self: self.redis == "up")
    @rule()
    def redis_loses_its_generations(self) -> None:
        with redis.Redis.from_url(self.server.url, socket_timeout=5) as client:
            client.delete(GENERATIONS)

    def teardown(self) -> None:
        if self.redis != "up":
            self.redis_comes_back()
        self.finish_the_long_computations()
        self.wait(self.exit.aclose())
        self.runner.close()
        self.folder.cleanup()


def test_no_gateway_answers_from_before_an_invalidation(tmp_path: Path) -> None:
    with running_redis(tmp_path) as redis_server:

        class Machine(TwoGateways):
            server = redis_server

        test = Machine.TestCase
        test.settings = settings(
            max_examples=8,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        test("runTest").debug()
