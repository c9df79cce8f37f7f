"""Where the processor time goes while the whole stack is under load.

The stack of the load test, with the mix of the goals and then with nothing cached: what a
request takes of each component, and which parts of the gateways take it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from preprocess.cli.progress import progress_bar
from preprocess.settings import load_settings
from preprocess.snapshot.file import read_snapshot
from tests.performance.load_test.generator import Outcome
from tests.performance.load_test.mix import Mix, Once, PastPairs, newest_pairs
from tests.performance.load_test.processes import Samples, sampling
from tests.performance.load_test.schedule import constant
from tests.performance.load_test.stacks import PARTS, REST, Stacks, watching
from tests.performance.load_test.whole_stack import CACHE, GATEWAYS, whole_stack
from tests.performance.load_test.worker import Source, load_source
from tests.performance.market import QUICK, SEED, WHOLE, generated_market
from tests.performance.report import Report
from tests.performance.report_grid import Grid
from tests.performance.row import Row

RATES = {"mix": 500.0, "cold": 300.0}
_COMPONENTS = ("gateway", "triton", "redis", "nginx", "generator")
_STOCKS_OF_A_REQUEST = 3.9
_PAUSE_S = 1.2
_FUNCTIONS = 12


@dataclass(frozen=True)
class Part:
    """A load under which was sampled; CPU is ms a request, by component."""

    name: str
    outcome: Outcome
    cpu_ms: Mapping[str, float]
    stacks: Stacks


def run(*, quick: bool, command: str) -> Report:
    """Load the stack, first unwatched for the CPU, then watched for the stacks."""
    home = load_settings().home
    market = generated_market(home, QUICK if quick else WHOLE)
    seconds, warming = (2.0, 2.0) if quick else (20.0, 60.0)
    columns = read_snapshot(market.snapshot)
    newest, past = newest_pairs(columns), PastPairs(columns, SEED)
    del columns
    with (
        whole_stack(market, home / "bench" / "load") as whole,
        load_source(whole.stack.url, whole.thresholds()) as source,
        sampling({**whole.roots(), "generator": source.pid}) as samples,
    ):
        with progress_bar("warming up") as advance:
            source.send(Mix(newest, SEED), constant(RATES["mix"], warming), advance)

        def mix(number: int) -> Mix:
            return Mix(newest, SEED, number)

        def cold(_number: int) -> Once:
            pairs = past.take(int(RATES["cold"] * seconds * _STOCKS_OF_A_REQUEST) + 200)
            return Once(pairs, SEED)

        parts = [
            _part("mix", source, samples, mix, seconds),
            _part("cold", source, samples, cold, seconds),
        ]
    return Report(
        name="hotspots",
        command=command,
        seed=SEED,
        rows=[row for part in parts for row in _rows(part)],
        samples={part.name: part.outcome.latency_ms.tolist() for part in parts},
        grids=[_shares(parts), *(_functions(part) for part in parts)],
        settings={"stocks": len(newest), "gateways": GATEWAYS, **CACHE, **RATES},
    )


def _part(
    name: str, source: Source, samples: Samples, draw: Callable[[int], Mix | Once], seconds: float
) -> Part:
    rate = RATES[name]
    time.sleep(_PAUSE_S)
    with progress_bar(f"{name}: {rate:g}/s for {seconds:g} s") as advance:
        outcome = source.send(draw(1), constant(rate, seconds), advance)
    time.sleep(_PAUSE_S)
    end = outcome.began + seconds
    cpu_ms = {
        component: samples.cpu_s(component, outcome.began, end) / (rate * seconds) * 1e3
        for component in _COMPONENTS
    }
    gateways = [pid for component, pid in samples.by_process if component == "gateway"]
    with (
        progress_bar(f"{name}: sampled") as advance,
        watching(gateways) as stacks,
    ):
        source.send(draw(2), constant(rate, seconds), advance)
    return Part(name, outcome, cpu_ms, stacks)


def _rows(part: Part) -> list[Row]:
    cpu = part.cpu_ms
    served = sum(ms for component, ms in cpu.items() if component != "generator")
    found = [Row(f"{part.name}_{name}_cpu", cpu[name], "ms") for name in _COMPONENTS]
    return [*found, Row(f"{part.name}_served_cpu", served, "ms", note=_note(part))]


def _note(part: Part) -> str:
    outcome = part.outcome
    return (
        f"p50 {outcome.quantile(50):.1f}, p95 {outcome.quantile(95):.1f}, "
        f"p99 {outcome.quantile(99):.1f} ms, {outcome.errors} failed"
    )


def _shares(parts: Sequence[Part]) -> Grid:
    names = (*(name for name, _ in PARTS), REST)
    shares = [part.stacks.shares() for part in parts]
    heads = [head for part in parts for head in (f"{part.name}, share", f"{part.name}, ms")]
    rows = [
        [
            name,
            *(
                text
                for part, of in zip(parts, shares, strict=True)
                for text in (f"{of[name]:.0%}", f"{of[name] * part.cpu_ms['gateway']:.3f}")
            ),
        ]
        for name in names
    ]
    return Grid("The gateways' Python, ms of CPU a request", ["part", *heads], rows)


def _functions(part: Part) -> Grid:
    rows = [[name, f"{share:.1%}"] for name, share in part.stacks.innermost(_FUNCTIONS)]
    return Grid(f"{part.name}: functions that run themselves", ["function", "share"], rows)
