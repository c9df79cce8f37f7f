"""All scenarios against one stack, with everything that is sampled meanwhile."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from preprocess.cli.progress import progress_bar
from tests.performance.load_test.caches import CacheCounts, following
from tests.performance.load_test.generator import Outcome
from tests.performance.load_test.mix import (
    Mix,
    Once,
    Pair,
    PastPairs,
    WholeMarket,
    newest_pairs,
)
from tests.performance.load_test.processes import Samples, sampling
from tests.performance.load_test.scenario import Scenario, filling, scenarios
from tests.performance.load_test.schedule import constant
from tests.performance.load_test.search import Found, Step, greatest_rate
from tests.performance.load_test.truth import wrong_answers
from tests.performance.load_test.whole_stack import whole_stack
from tests.performance.load_test.worker import Source, load_source
from tests.performance.market import BenchMarket, read_columns

_WARM_UP_S = 5.0
_WARM_UP_RATE = 100.0
_FIRST_RATE = 500.0
# Between two parts nothing is sent for longer than it is from one sample to the next.
_PAUSE_S = 1.2
_REST_S, _SHORTEST_REST_S = 20.0, 4.0
# A request asks for 3.7 stocks on average; a little more are laid ready.
_STOCKS_OF_A_REQUEST = 3.9
# Of the endurance so much is left out of the trend of memory, but no more than a minute.
_FIRST_SHARE, _FIRST_S = 0.2, 60.0


@dataclass(frozen=True)
class Phase:
    """A part of the campaign, and when it was by time.monotonic."""

    name: str
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.begin


@dataclass(frozen=True)
class Ran:
    """A scenario that was run."""

    scenario: Scenario
    outcome: Outcome

    @property
    def phase(self) -> Phase:
        """From its begin until its last request was due."""
        began = self.outcome.began
        return Phase(self.scenario.name, began, began + float(self.outcome.due_s[-1]))


@dataclass(frozen=True)
class Campaign:
    """What a whole run found; `wrong` are answers that the model does not give.

    `idle` is a time without any request, `searches` are when the greatest rates were looked for.
    """

    idle: Phase
    ran: Sequence[Ran]
    searches: Sequence[Phase]
    warm: Found
    cold: Found
    samples: Samples
    caches: CacheCounts
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

    @property
    def judged(self) -> Phase:
        """Where memory is judged: under the endurance, without its beginning."""
        whole = self.of("endurance").phase
        first_s = min(_FIRST_SHARE * whole.seconds, _FIRST_S)
        return Phase(whole.name, whole.begin + first_s, whole.end)

    def cores(self, component: str, phase: Phase) -> float:
        """How many cores a component used on average."""
        return self.samples.cpu_s(component, phase.begin, phase.end) / phase.seconds

    def cpu_ms_per_request(self, name: str) -> Mapping[str, float]:
        """Milliseconds of CPU that a request of a scenario took of each component.

        What a component takes without any request is not in it.
        """
        ran = self.of(name)
        rate = len(ran.outcome.due_s) / ran.phase.seconds
        return {
            component: max(0.0, self.cores(component, ran.phase) - self.cores(component, self.idle))
            * 1e3
            / rate
            for component in self.samples.components
        }

    def hit_rate(self, phase: Phase) -> float | None:
        """Share of the predictions that were asked for in a part and found in a cache."""
        return self.caches.hit_rate("predictions", phase.begin, phase.end)


def run_campaign(market: BenchMarket, home: Path, *, scale: float, seed: int) -> Campaign:
    """Start the stack, run everything, stop it."""
    columns = read_columns(market.database)
    newest = newest_pairs(columns)
    cold = PastPairs(columns, seed)
    del columns
    with (
        whole_stack(market, home) as whole,
        load_source(whole.stack.url, whole.thresholds()) as source,
        sampling({**whole.roots(), "generator": source.pid}) as samples,
        following(whole.gateway_urls) as caches,
    ):
        source.send(Mix(newest, seed), constant(_WARM_UP_RATE, _WARM_UP_S))
        idle = _rest(max(_SHORTEST_REST_S, _REST_S * scale))
        ran: list[Ran] = []
        for number, scenario in enumerate(scenarios(scale), start=1):
            if scenario.on_full_caches:
                ran.append(fill(source, whole.gateway_urls, newest))
            ran.append(_run(source, scenario, Mix(newest, seed, number)))
        warm_rate, warm_phase = _search(source, "max_rate", _Warm(newest, seed), scale)
        cold_rate, cold_phase = _search(source, "max_rate_cold", _Cold(cold, seed), scale)
        restarts = whole.restarts()
        settings = whole.settings
    outcomes = [one.outcome for one in ran]
    checked, wrong = wrong_answers(settings, outcomes)
    return Campaign(
        idle=idle,
        ran=ran,
        searches=[warm_phase, cold_phase],
        warm=warm_rate,
        cold=cold_rate,
        samples=samples,
        caches=caches,
        restarts=restarts,
        wrong=wrong,
        checked=checked,
        stocks=len(newest),
    )


def _rest(seconds: float) -> Phase:
    """Nothing is sent."""
    time.sleep(_PAUSE_S)
    begin = time.monotonic()
    time.sleep(seconds)
    return Phase("idle", begin, time.monotonic())


def _run(source: Source, scenario: Scenario, mix: Mix) -> Ran:
    time.sleep(_PAUSE_S)
    with progress_bar(f"{scenario.name}: {scenario.text}") as advance:
        return Ran(scenario, source.send(mix, scenario.due_s(), advance))


def fill(source: Source, urls: Sequence[str], pairs: Sequence[Pair]) -> Ran:
    """Ask one gateway after another for all pairs, past nginx, which would share them out."""
    scenario, market = filling(len(pairs)), WholeMarket(pairs)
    time.sleep(_PAUSE_S)
    with progress_bar(f"{scenario.name}: {scenario.text}") as advance:
        parts = [source.send(market, scenario.due_s(), advance, url=url) for url in urls]
    return Ran(scenario, Outcome.joined(parts))


@dataclass
class _Warm:
    """The stocks that are popular all the time, and so mostly cached."""

    pairs: Sequence[Pair]
    seed: int
    number: int = 100

    def next(self, _requests: int) -> Mix:
        self.number += 1
        return Mix(self.pairs, self.seed, self.number)


@dataclass
class _Cold:
    """Pairs that were never asked for, so that nothing is cached."""

    pairs: PastPairs
    seed: int

    def next(self, requests: int) -> Once:
        return Once(self.pairs.take(int(requests * _STOCKS_OF_A_REQUEST) + 200), self.seed)


def _search(source: Source, name: str, mixes: _Warm | _Cold, scale: float) -> tuple[Found, Phase]:
    time.sleep(_PAUSE_S)
    begin = time.monotonic()
    with progress_bar(name) as advance:
        tried: list[Step] = []

        def attempt(rate: float, seconds: float) -> Step:
            due_s = constant(rate, seconds)
            outcome = source.send(mixes.next(len(due_s)), due_s)
            tried.append(Step.of(rate, seconds, outcome, float(np.percentile(outcome.late_ms, 99))))
            advance(len(tried), len(tried) + 1)
            return tried[-1]

        step_s, proof_s = max(1.0, 10 * scale), max(2.0, 30 * scale)
        found = greatest_rate(attempt, first=_FIRST_RATE, step_s=step_s, proof_s=proof_s)
    return found, Phase(name, begin, time.monotonic())
