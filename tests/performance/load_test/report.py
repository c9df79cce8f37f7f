"""A campaign's rows, tables and findings, all made from its figures."""

from functools import partial

import numpy as np

from tests.performance.load_test.campaign import Campaign, Ran
from tests.performance.load_test.judgement import FLAT_SHARE, growth_per_hour, recovery_s, row
from tests.performance.load_test.search import BOUND_MS
from tests.performance.report_text import Grid, figure
from tests.performance.row import Row

# A spike is over when the p95 of a second is within this, in ms.
_RECOVERED_MS = 20.0
# So much of the sustained load is left out of the growth of memory.
_FIRST_SHARE = 0.2


def rows(campaign: Campaign) -> list[Row]:
    """Every metric of the load test."""
    steady, spike, sustained = map(campaign.of, ("steady", "spike", "sustained"))
    recovery = recovery_s(spike.outcome, spike.scenario.top_s, _RECOVERED_MS)
    found = [
        _quantile(steady, 95),
        _quantile(steady, 99),
        _errors(steady),
        _quantile(spike, 95),
        _errors(spike),
        row(
            "spike_recovery",
            recovery,
            "s",
            f"from the top of the ramp until every second has a p95 below {_RECOVERED_MS:g} ms",
        ),
        _quantile(sustained, 95),
        _quantile(sustained, 99),
        _errors(sustained),
        row("sustained_error_share", float(sustained.outcome.failed.mean()), "relative"),
        _growth(campaign, "all", "memory_growth"),
        _rate("max_rate", campaign),
        _rate("max_rate_cold", campaign),
        row(
            "wrong_answers",
            campaign.wrong,
            "failures",
            f"probabilities of {campaign.checked:,} stocks compared with the model's",
        ),
        row("steady_hit_rate", steady.hit_rate, "of the predictions"),
        row("sustained_hit_rate", sustained.hit_rate, "of the predictions"),
    ]
    per_request = campaign.cpu_ms_per_request("sustained")
    found += [row(f"{name}_cpu_ms_per_request", ms, "ms") for name, ms in per_request.items()]
    return found


def grids(campaign: Campaign) -> list[Grid]:
    """Scenarios, and what the processes took."""
    return [_scenarios(campaign), _system(campaign)]


def findings(campaign: Campaign) -> list[str]:
    """What limits the stack, what was late, what failed."""
    per_request = campaign.cpu_ms_per_request("sustained")
    total = sum(per_request.values())
    most = max(per_request, key=partial(per_request.__getitem__))
    phase = campaign.of("sustained").phase
    said = [
        f"At the sustained rate a request takes {total:.2f} ms of CPU, most of it in the "
        f"{most} ({per_request[most] / total:.0%}), and "
        f"{campaign.samples.sent_mb_s(phase.begin, phase.end):.2f} MB/s go over all interfaces."
    ]
    for ran in campaign.ran:
        late, p99 = float(np.percentile(ran.outcome.late_ms, 99)), ran.outcome.quantile(99)
        if late > p99 / 3:
            said.append(
                f"{ran.scenario.name}: the load generator itself was late by {late:.1f} ms at p99, "
                f"which is in its p99 of {p99:.1f} ms: others had the cores."
            )
        failures = ran.outcome.failures.items()
        said += [f"{ran.scenario.name}: {count:,} times {text}." for text, count in failures]
    said += [f"A server was replaced meanwhile: {line}" for line in campaign.restarts]
    return said


def _quantile(ran: Ran, percent: int) -> Row:
    note = f"{ran.scenario.text}; counted from when requests were due"
    return row(f"{ran.scenario.name}_p{percent}", ran.outcome.quantile(percent), "ms", note)


def _errors(ran: Ran) -> Row:
    requests = f"of {len(ran.outcome.due_s):,} requests"
    return row(f"{ran.scenario.name}_errors", ran.outcome.errors, "failures", requests)


def _growth(campaign: Campaign, component: str, metric: str) -> Row:
    """MB an hour under the sustained load, without its first fifth."""
    phase, moments = campaign.of("sustained").phase, campaign.samples.moments
    begin = phase.begin + _FIRST_SHARE * (phase.end - phase.begin)
    inside = (moments >= begin) & (moments <= phase.end)
    used_mb = campaign.samples.memory_mb(component)[inside]
    growth = growth_per_hour(moments[inside], used_mb)
    level = float(np.median(used_mb)) if len(used_mb) else 0.0
    note = f"an hour under the sustained load, of {level:.0f} MB, with caches filled before"
    if growth is None:
        note = "too short to tell: it needs 80 s"
    return Row(metric, growth, "MB", goal=round(FLAT_SHARE * level, 1), note=note)


def _rate(metric: str, campaign: Campaign) -> Row:
    found = campaign.found.get(metric)
    if found is None:
        return row(metric, None, "/s", "--quick leaves it out")
    note = f"p99 below {BOUND_MS:g} ms and no error; {found.steps} steps"
    return row(metric, found.rate, "/s", note)


def _scenarios(campaign: Campaign) -> Grid:
    heads = (
        "scenario", "requests", "errors", "p50, ms", "p95", "p99", "p99.9", "worst",
        "generator late, p99", "hit rate",
    )  # fmt: skip
    lines = []
    for ran in campaign.ran:
        outcome = ran.outcome
        lines.append(
            [
                f"{ran.scenario.name}: {ran.scenario.text}",
                f"{len(outcome.due_s):,}",
                f"{outcome.errors:,}",
                *(figure(outcome.quantile(q)) for q in (50, 95, 99, 99.9, 100)),
                figure(float(np.percentile(outcome.late_ms, 99))),
                f"{ran.hit_rate:.1%}",
            ]
        )
    return Grid("Scenarios", heads, lines)


def _system(campaign: Campaign) -> Grid:
    names = [ran.scenario.name for ran in campaign.ran]
    per_request = [campaign.cpu_ms_per_request(name) for name in names]
    samples = campaign.samples
    heads = ["component", *(f"{phase.name}, cores" for phase in campaign.phases)]
    heads += [*(f"{name}, ms a request" for name in names)]
    heads += ["memory, MB", "growth, MB/h", "open files"]
    lines = [
        [
            component,
            *(figure(campaign.cores(component, phase)) for phase in campaign.phases),
            *(figure(of[component]) for of in per_request),
            figure(float(samples.memory_mb(component).max())),
            figure(_growth(campaign, component, "").value),
            figure(float(samples.open_files(component).max())),
        ]
        for component in samples.names
    ]
    title = "CPU, in cores and beyond idleness in ms a request; most memory, most open files"
    return Grid(title, heads, lines)
