"""A profile from its first request to its last figure."""

import asyncio
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from preprocess.features.service import FeatureService
from preprocess.profiling.frames import Frame
from preprocess.profiling.gateway import ProfiledGateway, profiled_gateway
from preprocess.profiling.graph import time_graph
from preprocess.profiling.lookup import time_lookups
from preprocess.profiling.profile import Profile, ShapeProfile
from preprocess.profiling.requests import BATCH, ONE, FreshPairs, Pair, Shape
from preprocess.profiling.rest_client import Answered, RestClient
from preprocess.profiling.split import Clocks, Split
from preprocess.profiling.statistics import (
    Key,
    TritonStatistics,
    Work,
    done_between,
    ensemble_work,
)
from preprocess.repository.live import GRAPH_FILE
from preprocess.settings import Settings
from preprocess.store import open_store

Advance = Callable[[int, int], None]

SEED = 20260814
_SINGLES_A_BATCH = 5
_FEWEST_BATCHES = 10


@dataclass(frozen=True, slots=True)
class _Load:
    """A measured load: the requests, their times, the gateway's mean wait, Triton's work."""

    requests: Sequence[Sequence[Pair]]
    answers: Sequence[Answered]
    wait: float
    done: Mapping[Key, Work]


async def run_profile(
    settings: Settings, *, requests: int, variant: str, command: str, advance: Advance
) -> Profile:
    """Profile single requests and batches through the running Triton.

    `requests` single ones and a fifth of that in batches are timed, and as many again sampled.
    `advance(done, total)` is told of progress.

    Raises:
        ServerError: the gateway or Triton does not answer.
        StoreError: the market has no stock to ask about.
    """
    with closing(open_store(settings)) as store:
        columns = store.columns()
    plan = {ONE: requests, BATCH: max(requests // _SINGLES_A_BATCH, _FEWEST_BATCHES)}
    service = FeatureService(lambda: open_store(settings))
    async with (
        profiled_gateway(settings) as gateway,
        TritonStatistics(settings.triton_grpc_address) as statistics,
    ):
        with closing(service), closing(RestClient(gateway.url)) as client:
            service.warm_up()
            profiler = _Profiler(
                settings,
                variant,
                FreshPairs(columns, seed=SEED),
                client=client,
                gateway=gateway,
                statistics=statistics,
                service=service,
                progress=_Progress(advance, 2 * sum(plan.values())),
            )
            shapes = [await profiler.profile(shape, count) for shape, count in plan.items()]
    return Profile(command, _machine(), SEED, variant, shapes)


class _Progress:
    def __init__(self, advance: Advance, total: int) -> None:
        self._advance = advance
        self._total = total
        self._done = 0

    def step(self) -> None:
        self._done += 1
        self._advance(self._done, self._total)


class _Profiler:
    """Sends loads, and asks everybody who has a clock."""

    def __init__(
        self,
        settings: Settings,
        variant: str,
        pairs: FreshPairs,
        *,
        client: RestClient,
        gateway: ProfiledGateway,
        statistics: TritonStatistics,
        service: FeatureService,
        progress: _Progress,
    ) -> None:
        self._repository = settings.repository_dir
        self._variant = variant
        self._pairs = pairs
        self._client = client
        self._gateway = gateway
        self._statistics = statistics
        self._service = service
        self._progress = progress

    async def profile(self, shape: Shape, count: int) -> ShapeProfile:
        """All that there is to say of `count` requests of a shape."""
        load = await self._timed(shape, count)
        sampled = await self._sampled(shape, count)
        path = await self._statistics.path(load.done)
        lookups = await asyncio.to_thread(time_lookups, self._service, load.requests)
        folder = self._repository / path.classifier / path.classifier_version
        graph = await asyncio.to_thread(time_graph, folder / GRAPH_FILE, lookups.features)
        work = ensemble_work(path, load.done)
        times = np.array([answer.end_to_end for answer in load.answers])
        clocks = Clocks(
            end_to_end=float(times.mean()),
            application=float(np.mean([answer.application for answer in load.answers])),
            predictor=load.wait,
            ensemble=work.ensemble,
            queues=work.queues,
            features=work.features,
            classifier=work.classifier,
            lookup=lookups.ms,
            graph=graph.ms,
        )
        return ShapeProfile(
            shape=shape,
            requests=count,
            path=path,
            in_triton=work.requests,
            percentiles={
                f"p{percent}": float(np.percentile(times, percent)) for percent in (50, 95, 99)
            },
            split=Split.of(clocks),
            gateway=sampled,
            lookup=lookups.frame,
            operators=graph.operators,
        )

    async def _timed(self, shape: Shape, count: int) -> _Load:
        """A load between two readings of every clock, after a tenth of it to warm up."""
        await asyncio.to_thread(self._send, shape, self._take(shape, count // 10 + 1), step=False)
        requests = self._take(shape, count)
        waited, before = await self._gateway.waits(), await self._statistics.read()
        answers = await asyncio.to_thread(self._send, shape, requests, step=True)
        after, waits = await self._statistics.read(), await self._gateway.waits()
        return _Load(requests, answers, waits.mean_since(waited), done_between(before, after))

    async def _sampled(self, shape: Shape, count: int) -> Frame:
        """A load of which the gateway's main thread is sampled."""
        requests = self._take(shape, count)
        self._gateway.begin_samples()
        await asyncio.to_thread(self._send, shape, requests, step=True)
        return await self._gateway.end_samples(count)

    def _take(self, shape: Shape, count: int) -> list[list[Pair]]:
        return [self._pairs.take(shape.rows) for _ in range(count)]

    def _send(
        self, shape: Shape, requests: Sequence[Sequence[Pair]], *, step: bool
    ) -> list[Answered]:
        answers = []
        for pairs in requests:
            answers.append(self._client.ask(shape, self._variant, pairs))
            if step:
                self._progress.step()
        return answers


def _machine() -> str:
    return f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"
