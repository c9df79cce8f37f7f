"""All scenarios against one stack, with everything that is sampled meanwhile."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from gateway.api.schemas import LARGEST_BATCH
from gateway.cache.statistics import CacheStats
from gateway.cli.progress import progress_bar
from tests.performance.load_test.judgement import wrong_answers
from tests.performance.load_test.mix import BATCH_PREDICT, Call, Mix, Once
from tests.performance.load_test.processes import Samples, sampling
from tests.performance.load_test.scenario import Scenario, constant, scenarios
from tests.performance.load_test.search import Found, Step, greatest_rate
from tests.performance.load_test.whole_stack import thresholds, whole_stack
from tests.performance.load_test.worker import Outcome, Source, load_source
from tests.performance.market import BenchMarket, read_columns
from tests.performance.pairs import Pair, PastPairs, newest_pairs

STOCKS_OF_A_REQUEST = 3.9
"""A request of the mix asks for 3.7 stocks on average; a little more are kept ready."""

_WARM_UP_S, _SHORTEST_WARM_UP_S = 5.0, 1.0
_WARM_UP_RATE = 100.0
_FIRST_RATE = 500.0
# Between two parts nothing is sent for longer than it is from one sample to the next.
PAUSE_S = 1.2
_REST_S, _SHORTEST_REST_S = 20.0, 2.0


@dataclass(frozen=True)
class Phase:
    """A part of the campaign, and when it was by time.monotonic."""

    name: str
    begin: float
    end: float


@dataclass(frozen=True)
class Ran:
    """A scenario that was run, and the share of predictions that came out of a cache."""

    scenario: Scenario
    outcome: Outcome
    hit_rate: float

    @property
    def phase(self) -> Phase:
        """From its begin until its last request was due."""
        began = self.outcome.began
        return Phase(self.scenario.name, began, began + float(self.outcome.due_s[-1]))


@dataclass(frozen=True)
class Campaign:
    """What a whole run found; `wrong` are answers that the model does not give.

    `idle` is a time without any request, `searches` are when the greatest rates were looked for,
    and `found` what they are: `max_rate` and `max_rate_cold`.
    """

    idle: Phase
    ran: Sequence[Ran]
    searches: Sequence[Phase]
    found: Mapping[str, Found]
    samples: Samples
    restarts: Sequence[str]
    wrong: int
    checked: int
    stocks: int

    def of(self, name: str) -> Ran:
        """The scenario of this name."""
        return next(ran for ran in self.ran if ran.scenario.name == name)

    @property
    def phases(self) -> list[Phase]:
        """All parts, in their order."""
        return [self.idle, *(ran.phase for ran in self.ran), *self.searches]

    def cores(self, component: str, phase: Phase) -> float:
        """How many cores a component used on average."""
        return self.samples.cores(component, phase.begin, phase.end)

    def cpu_ms_per_request(self, name: str) -> Mapping[str, float]:
        """Milliseconds of CPU that a request of a scenario took of each component.

        What a component takes without any request is not in it.
        """
        ran = self.of(name)
        ms = (ran.phase.end - ran.phase.begin) * 1e3 / len(ran.outcome.due_s)
        return {
            component: ms
            * max(0.0, self.cores(component, ran.phase) - self.cores(component, self.idle))
            for component in self.samples.names
        }


def run_campaign(
    market: BenchMarket, home: Path, *, scale: float, seed: int, search: bool
) -> Campaign:
    """Start the stack, run every scenario and both searches if they are wanted, stop it."""
    columns = read_columns(market.database)
    newest = newest_pairs(columns)
    past = PastPairs(columns, seed)
    del columns

    def cold(number: int, requests: int) -> Once:
        return Once(past.take(int(requests * STOCKS_OF_A_REQUEST) + 200), seed + number)

    with (
        whole_stack(market, home) as whole,
        load_source(whole.stack.url, thresholds(whole.stack.url)) as source,
        sampling({**whole.roots(), "generator": source.pid}) as samples,
    ):
        warm_up_s = max(_SHORTEST_WARM_UP_S, _WARM_UP_S * min(1.0, 10 * scale))
        source.send(Mix(newest, seed), constant(_WARM_UP_RATE, warm_up_s))
        time.sleep(PAUSE_S)
        begin = time.monotonic()
        time.sleep(max(_SHORTEST_REST_S, _REST_S * scale))
        idle = Phase("idle", begin, time.monotonic())
        ran: list[Ran] = []
        for number, scenario in enumerate(scenarios(scale), start=1):
            if scenario.name == "sustained":
                # Memory is judged there: a cache that still fills would look like a leak.
                fill(whole.gateway_urls, newest)
            ran.append(_run(source, scenario, Mix(newest, seed, number), whole.gateway_urls))
        draws: dict[str, Callable[[int, int], Mix | Once]] = {
            "max_rate": lambda number, _: Mix(newest, seed, 100 + number),
            "max_rate_cold": cold,
        }
        searched = {n: _search(source, n, draw, scale) for n, draw in draws.items() if search}
        time.sleep(PAUSE_S)
        restarts = whole.restarts()
        settings = whole.settings
    seen: dict[Pair, tuple[float, float]] = {}
    for one in ran:
        for pair, (least, greatest) in one.outcome.seen.items():
            before = seen.get(pair, (least, greatest))
            seen[pair] = min(least, before[0]), max(greatest, before[1])
    checked, wrong = wrong_answers(settings, seen)
    return Campaign(
        idle=idle,
        ran=ran,
        searches=[phase for _, phase in searched.values()],
        found={name: found for name, (found, _) in searched.items()},
        samples=samples,
        restarts=restarts,
        wrong=wrong,
        checked=checked,
        stocks=len(newest),
    )


def fill(urls: Sequence[str], pairs: Sequence[Pair]) -> None:
    """Request all pairs from each gateway, bypassing nginx, so that every cache is full.

    Raises:
        httpx.HTTPStatusError: a gateway refused.
    """
    with httpx.Client(timeout=30.0, trust_env=False) as client:
        for url in urls:
            for begin in range(0, len(pairs), LARGEST_BATCH):
                call = Call(tuple(pairs[begin : begin + LARGEST_BATCH]), is_batch=True)
                client.post(f"{url}{BATCH_PREDICT}", content=call.body).raise_for_status()


def prediction_counts(urls: Sequence[str]) -> CacheStats:
    """Predictions that were looked up by these gateways since their start, all together."""
    total = CacheStats()
    for url in urls:
        stats = httpx.get(f"{url}/api/v1/cache/stats", timeout=5.0, trust_env=False).json()
        kind = stats["kinds"]["predictions"]["since_start"]
        total = CacheStats(
            total.local_hits + kind["local_hits"],
            total.remote_hits + kind["redis_hits"],
            total.misses + kind["misses"],
        )
    return total


def _run(source: Source, scenario: Scenario, mix: Mix, urls: Sequence[str]) -> Ran:
    time.sleep(PAUSE_S)
    before = prediction_counts(urls)
    with progress_bar(f"{scenario.name}: {scenario.text}") as advance:
        outcome = source.send(mix, scenario.due_s(), advance)
    after = prediction_counts(urls)
    asked = max(after.asked - before.asked, 1)
    return Ran(scenario, outcome, 1.0 - (after.misses - before.misses) / asked)


def _search(
    source: Source, name: str, draw: Callable[[int, int], Mix | Once], scale: float
) -> tuple[Found, Phase]:
    """The greatest rate; `draw(number, requests)` gives the requests of one step."""
    time.sleep(PAUSE_S)
    begin = time.monotonic()
    with progress_bar(name) as advance:
        tried = 0

        def attempt(rate: float, seconds: float) -> Step:
            nonlocal tried
            due_s = constant(rate, seconds)
            outcome = source.send(draw(tried, len(due_s)), due_s)
            tried += 1
            advance(tried, tried + 1)
            return Step(outcome.quantile(99), outcome.errors)

        step_s, proof_s = max(1.0, 10 * scale), max(2.0, 30 * scale)
        found = greatest_rate(attempt, first=_FIRST_RATE, step_s=step_s, proof_s=proof_s)
    return found, Phase(name, begin, time.monotonic())
