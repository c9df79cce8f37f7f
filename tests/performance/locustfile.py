"""The load test for Locust: the mix of the goals in three shapes, every answer looked at.

locust -f tests/performance/locustfile.py --headless --shape sustained --scale 0.1

Each user sends one request a second, and has moments at which its requests are due. A request that
begins late, because the one before it took long, counts from when it was due. The figures of the
benchmark `load` are better: its generator takes a third of the processor time of this one.
"""

import itertools
import logging
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # Locust knows this folder alone

import httpx
from locust import FastHttpUser, LoadTestShape, events, task
from locust.env import Environment

from tests.performance.load_test.checks import Checks
from tests.performance.load_test.mix import BATCH_PREDICT, Call, Mix
from tests.performance.load_test.scenario import scenarios
from tests.performance.pairs import Pair

_SEED = 20260814
_PAGE = 500
_MOST = 100  # stocks of a batch
_TIMEOUT_S = 10.0
# Users that begin in a second at most; Locust warns above this.
_SPAWNED = 100.0


class Shop:
    """What users share: the requests to come, and what is known of the answers."""

    calls: Iterator[Call]
    checks: Checks
    opened: float | None = None

    @classmethod
    def open(cls, url: str, number: int) -> None:
        """Ask a server for its model versions and its stocks, and for each stock once.

        Raises:
            RuntimeError: it has no stock with a prediction.
        """
        with httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False) as client:
            versions = client.get("/api/v1/models").raise_for_status().json()["versions"]
            pairs = list(_predictable(client))
        if not pairs:
            raise RuntimeError(f"{url} has no stock with a prediction.")
        cls.calls = Mix(pairs, _SEED, number).calls()
        cls.checks = Checks({one["model_version"]: one["threshold"] for one in versions})
        cls.opened = time.perf_counter()


class Caller(FastHttpUser):
    """One request a second."""

    host = "http://127.0.0.1:8080"
    connection_timeout = network_timeout = _TIMEOUT_S
    _numbers = itertools.count()

    def on_start(self) -> None:
        """Users begin at different moments of a second."""
        self._due = time.perf_counter() + next(self._numbers) % 97 / 97
        time.sleep(max(0.0, self._due - time.perf_counter()))

    def wait_time(self) -> float:
        """Until the next request is due, in seconds."""
        self._due += 1.0
        return max(0.0, self._due - time.perf_counter())

    @task
    def ask(self) -> None:
        """One request of the mix; what is wrong with its answer is a failure."""
        call = next(Shop.calls)
        late_ms = max(0.0, time.perf_counter() - self._due) * 1e3
        headers = {"content-type": "application/json"}
        with self.client.post(
            call.path, data=call.body.decode(), headers=headers, catch_response=True
        ) as response:
            response.request_meta["response_time"] += late_ms
            finding = Shop.checks.finding(call, response.status_code, response.content or b"")
            if finding:
                response.failure(finding)
            else:
                response.success()


class Shape(LoadTestShape):
    """Users over time: steady, spike and sustained as in the load test."""

    def tick(self) -> tuple[int, float] | None:
        """How many users there are to be now, and how many may begin in a second."""
        assert self.runner is not None
        options = self.runner.environment.parsed_options
        assert options is not None
        # Locust's own clock runs while the shop is still being opened.
        now = 0.0 if Shop.opened is None else time.perf_counter() - Shop.opened
        users = _planned(options.shape, options.scale, now)
        return None if users is None else (users, _SPAWNED)


def _planned(shape: str, scale: float, now: float) -> int | None:
    plan = next(one for one in scenarios(scale) if one.name == shape)
    begin = 0.0
    for stretch in plan.stretches:
        if now < begin + stretch.seconds:
            share = (now - begin) / stretch.seconds
            return max(1, round(stretch.first + share * (stretch.last - stretch.first)))
        begin += stretch.seconds
    return None


def _predictable(client: httpx.Client) -> Iterator[Pair]:
    """The stocks that have enough history, with the newest day of all."""
    listed: list[Pair] = []
    for offset in itertools.count(0, _PAGE):
        query = {"limit": _PAGE, "offset": offset}
        page = client.get("/api/v1/stocks", params=query).raise_for_status().json()["stocks"]
        listed += [(one["bse_code"], one["newest_price_date"]) for one in page]
        if len(page) < _PAGE:
            break
    newest = max((day for _, day in listed), default="")
    for begin in range(0, len(listed), _MOST):
        pairs = tuple((code, newest) for code, _ in listed[begin : begin + _MOST])
        answers = client.post(BATCH_PREDICT, content=Call(pairs, is_batch=True).body)
        for pair, answer in zip(pairs, answers.raise_for_status().json(), strict=True):
            if answer["probability"] is not None:
                yield pair


def _options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--shape",
        choices=("steady", "spike", "sustained"),
        default="steady",
        help="How the load changes over time.",
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="What the durations are multiplied by."
    )


def _open(environment: Environment, **_: object) -> None:
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it has a line for each request
    index = getattr(environment.runner, "worker_index", 0)
    Shop.open(environment.host or Caller.host, index)


events.init_command_line_parser.add_listener(_options)  # type: ignore[no-untyped-call]  # Locust's
events.test_start.add_listener(_open)  # type: ignore[no-untyped-call]  # Locust's
