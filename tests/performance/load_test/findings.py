"""A campaign's rows, tables and assessment, all made from its figures."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from tests.performance.load_test.campaign import Campaign, Ran
from tests.performance.load_test.goals import row
from tests.performance.load_test.search import BOUND_MS, Found
from tests.performance.load_test.seconds import Seconds
from tests.performance.load_test.trend import Trend, trend
from tests.performance.report_grid import Grid
from tests.performance.report_text import figure
from tests.performance.row import Row

# A spike is over when the p95 of a second is within this, in ms.
_RECOVERED_MS = 20.0
_CORES = 2
_SERVING = ("nginx", "gateway", "redis", "triton", "supervisor")


def memory_trends(campaign: Campaign) -> dict[str, Trend]:
    """Growth of memory in MB an hour with full caches, of each component and of all."""
    judged, moments = campaign.judged, campaign.samples.moments()
    inside = (moments >= judged.begin) & (moments <= judged.end)
    names = [None, *(name for name in _SERVING if name in campaign.samples.components)]
    return {
        name or "all": trend(moments[inside], campaign.samples.memory_mb(name)[inside])
        for name in names
    }


def rows(campaign: Campaign, trends: dict[str, Trend]) -> list[Row]:
    """Every metric of the load test."""
    steady, spike, sustained = map(campaign.of, ("steady", "spike", "sustained"))
    found = [
        _quantile(steady, 95),
        _quantile(steady, 99),
        _errors(steady),
        _quantile(spike, 95),
        _errors(spike),
        row(
            "spike_recovery",
            Seconds.of(spike.outcome).recovery_s(spike.scenario.top_s, _RECOVERED_MS),
            "s",
            f"from the top of the ramp until every second has a p95 below {_RECOVERED_MS:g} ms",
        ),
        _quantile(sustained, 95),
        _quantile(sustained, 99),
        _errors(sustained),
        row(
            "sustained_error_share",
            sustained.outcome.errors / len(sustained.outcome.due_s),
            "relative",
        ),
        _memory_growth(trends["all"], _where_judged(campaign)),
        _rate("max_rate", campaign.warm),
        _rate("max_rate_cold", campaign.cold),
        row(
            "wrong_answers",
            campaign.wrong,
            "failures",
            f"probabilities of {campaign.checked:,} stocks held against the model",
        ),
    ]
    for name in ("steady", "sustained"):
        rate = campaign.hit_rate(campaign.of(name).phase)
        found.append(row(f"{name}_hit_rate", rate, "of the predictions"))
    per_request = campaign.cpu_ms_per_request("sustained")
    found += [
        row(f"{component}_cpu_ms_per_request", per_request[component], "ms")
        for component in (*_SERVING, "generator")
        if component in per_request
    ]
    return found


def grids(campaign: Campaign, trends: dict[str, Trend]) -> list[Grid]:
    """Scenarios, what the processes took, the steps of both searches, memory."""
    return [
        _scenarios(campaign),
        _system(campaign),
        _memory(trends, _where_judged(campaign)),
        _steps("Greatest rate, popular stocks", campaign.warm),
        _steps("Greatest rate, nothing cached", campaign.cold),
    ]


def assessment(campaign: Campaign, trends: dict[str, Trend], judged: Sequence[Row]) -> list[str]:
    """The figures in words."""
    missed = [one for one in judged if one.met is False]
    met = sum(one.met is True for one in judged)
    said = [f"{met} of {met + len(missed)} goals of our own are met."]
    said += [
        f"Missed: {one.metric} is {figure(one.value)} {one.unit}, the goal is {figure(one.goal)}."
        for one in missed
    ]
    said.append(_cpu_sentence(campaign))
    said += _late_sentences(campaign)
    grows = [name for name, of in trends.items() if of.verdict == "grows"]
    untold = [name for name, of in trends.items() if of.verdict == "cannot be told"]
    if grows:
        said.append(
            "Memory grows under a load that stays the same, with caches that were filled before: "
            f"{', '.join(grows)}."
        )
    elif untold:
        said.append(f"Whether memory leaks cannot be told ({', '.join(untold)}): run it longer.")
    else:
        said.append("With caches that were filled before, memory is flat: no leak is seen.")
    if campaign.restarts:
        said.append(f"Servers that were replaced meanwhile: {'; '.join(campaign.restarts)}.")
    else:
        said.append("No server was replaced, and the number of gateways stayed the same.")
    for ran in campaign.ran:
        said += [
            f"{ran.scenario.name}: {count:,} times {text}."
            for text, count in ran.outcome.failures.items()
        ]
    return said


def _quantile(ran: Ran, percent: int) -> Row:
    return row(
        f"{ran.scenario.name}_p{percent}",
        ran.outcome.quantile(percent),
        "ms",
        f"{ran.scenario.text}; counted from when requests were due",
    )


def _errors(ran: Ran) -> Row:
    requests = f"of {len(ran.outcome.due_s):,} requests"
    return row(f"{ran.scenario.name}_errors", ran.outcome.errors, "failures", requests)


def _where_judged(campaign: Campaign) -> str:
    """Over which part of the run memory is judged."""
    whole, judged = campaign.of("endurance").phase, campaign.judged
    return f"{whole.name}, without its first {judged.begin - whole.begin:.2g} s"


def _memory_growth(of_all: Trend, where: str) -> Row:
    if of_all.verdict == "cannot be told":
        interval = of_all.interval or "none"
        note = f"cannot be told; 95 % interval {interval}, {where}: run it longer"
        return Row("memory_growth", None, "MB", note=note)
    note = (
        f"an hour, 95 % interval {of_all.interval}, of {of_all.level:.0f} MB: {of_all.verdict}; "
        f"{where}"
    )
    return Row("memory_growth", of_all.per_hour, "MB", goal=round(of_all.bound, 1), note=note)


def _rate(metric: str, found: Found) -> Row:
    note = f"p99 below {BOUND_MS:g} ms and no error; {len(found.steps)} steps"
    return row(metric, found.rate, "/s", note)


def _scenarios(campaign: Campaign) -> Grid:
    heads = (
        "scenario", "requests", "errors", "p50, ms", "p95", "p99", "p99.9", "worst",
        "p99 from sending", "generator late, p99", "hit rate",
    )  # fmt: skip
    lines = []
    for ran in campaign.ran:
        outcome = ran.outcome
        quantiles = [figure(outcome.quantile(q)) for q in (50, 95, 99, 99.9, 100)]
        own = figure(float(np.percentile(outcome.latency_ms - outcome.late_ms, 99)))
        late = figure(float(np.percentile(outcome.late_ms, 99)))
        rate = campaign.hit_rate(ran.phase)
        hits = "" if rate is None else f"{rate:.1%}"
        head = f"{ran.scenario.name}: {ran.scenario.text}"
        counts = [f"{len(outcome.due_s):,}", f"{outcome.errors:,}"]
        lines.append([head, *counts, *quantiles, own, late, hits])
    return Grid("Scenarios", heads, lines)


def _system(campaign: Campaign) -> Grid:
    names = [ran.scenario.name for ran in campaign.ran]
    heads = ["component", *(f"{phase.name}, cores" for phase in campaign.phases)]
    heads += [*(f"{name}, ms a request" for name in names), "memory, MB", "open files"]
    per_request = [campaign.cpu_ms_per_request(name) for name in names]
    lines = []
    for component in campaign.samples.components:
        memory = campaign.samples.memory_mb(component)
        lines.append(
            [
                component,
                *(figure(campaign.cores(component, phase)) for phase in campaign.phases),
                *(figure(of[component]) for of in per_request),
                figure(float(memory.max(initial=0.0))),
                str(campaign.samples.most_open_files(component)),
            ]
        )
    title = "CPU, in cores and beyond idleness in ms a request; most memory, most open files"
    return Grid(title, heads, lines)


def _memory(trends: dict[str, Trend], where: str) -> Grid:
    heads = ("component", "MB", "growth, MB/h", "95 % interval", "verdict")
    lines = [
        [
            name,
            f"{of.level:.0f}",
            f"{of.per_hour:+.1f}" if of.interval else "",
            of.interval,
            of.verdict,
        ]
        for name, of in trends.items()
    ]
    return Grid(f"Memory with caches filled before: {where}", heads, lines)


def _steps(title: str, found: Found) -> Grid:
    heads = ("rate, /s", "seconds", "p50, ms", "p99, ms", "generator late, p99", "errors", "held")
    lines = [
        [f"{step.rate:,.0f}", f"{step.seconds:g}", figure(step.p50_ms), figure(step.p99_ms),
         figure(step.late_p99_ms), str(step.errors), "yes" if step.held else "no"]
        for step in found.steps
    ]  # fmt: skip
    return Grid(title, heads, lines)


def _cpu_sentence(campaign: Campaign) -> str:
    per_request = campaign.cpu_ms_per_request("sustained")
    total = sum(per_request.values())
    most = max(per_request, key=partial(per_request.__getitem__))
    return (
        f"At the sustained rate a request takes {total:.2f} ms of CPU, most of it in the "
        f"{most} ({per_request[most] / total:.0%}). At that cost {_CORES} cores do "
        f"{_CORES * 1e3 / total:,.0f} requests/s of this mix at most, the load generator's part "
        f"included; at higher rates a request costs less, since more of them travel together."
    )


def _late_sentences(campaign: Campaign) -> list[str]:
    said = []
    for ran in campaign.ran:
        late, p99 = float(np.percentile(ran.outcome.late_ms, 99)), ran.outcome.quantile(99)
        if late > p99 / 3:
            said.append(
                f"{ran.scenario.name}: the load generator itself was late by {late:.1f} ms at p99, "
                f"which is in its p99 of {p99:.1f} ms; other programs, or the servers themselves, "
                "had the cores."
            )
    return said
