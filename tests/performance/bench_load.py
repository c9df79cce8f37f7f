"""`python -m tests.performance load`: the whole stack under the loads that the goals name.

nginx, two gateways, Redis as it is shipped and Triton, with a market of 11,000 stocks; the load
generator takes a part of the same machine. What is sent and how it is looked at lies in load_test/.
"""

from dataclasses import asdict
from typing import Any

from preprocess.settings import load_settings
from tests.performance.load_test.campaign import Campaign, run_campaign
from tests.performance.load_test.findings import assessment, grids, memory_trends, rows
from tests.performance.load_test.goals import verdicts
from tests.performance.load_test.load_report import LoadReport
from tests.performance.load_test.page import page
from tests.performance.load_test.plots import plots
from tests.performance.load_test.seconds import Seconds
from tests.performance.load_test.trend import Trend
from tests.performance.load_test.whole_stack import CACHE, GATEWAYS
from tests.performance.machine import machine, versions
from tests.performance.market import QUICK, SEED, WHOLE, generated_market

_QUICK_SCALE = 0.01


def run(*, quick: bool, command: str, scale: float | None = None) -> LoadReport:
    """Run all scenarios; `scale` is what their durations are multiplied by."""
    home = load_settings().home
    used = scale or (_QUICK_SCALE if quick else 1.0)
    market = generated_market(home, QUICK if quick else WHOLE)
    return report_of(
        run_campaign(market, home / "bench" / "load", scale=used, seed=SEED), command, used
    )


def report_of(campaign: Campaign, command: str, scale: float) -> LoadReport:
    """The report of a campaign."""
    trends = memory_trends(campaign)
    found = rows(campaign, trends)
    tables = [verdicts(found), *grids(campaign, trends)]
    words = assessment(campaign, trends, found)
    settings = {"stocks": campaign.stocks, "gateways": GATEWAYS, **CACHE, "scale": scale}
    facts = [
        f"{command}, seed {SEED}",
        *(
            ", ".join(f"{key} {value}" for key, value in part.items())
            for part in (machine(), versions(), settings)
        ),
    ]
    return LoadReport(
        name="load",
        command=command,
        seed=SEED,
        rows=found,
        samples={ran.scenario.name: ran.outcome.latency_ms.tolist() for ran in campaign.ran},
        findings=words,
        grids=tables,
        settings=settings,
        page=lambda: page("Load test", facts, words, tables, plots(campaign)),
        extra=_extra(campaign, trends),
    )


def _extra(campaign: Campaign, trends: dict[str, Trend]) -> dict[str, Any]:
    return {
        "cpu_ms_per_request": {
            ran.scenario.name: campaign.cpu_ms_per_request(ran.scenario.name)
            for ran in campaign.ran
        },
        "cores": {
            phase.name: {
                component: campaign.cores(component, phase)
                for component in campaign.samples.components
            }
            for phase in campaign.phases
        },
        "memory": {name: of.document() for name, of in trends.items()},
        "memory_judged": {"scenario": campaign.judged.name, "seconds": campaign.judged.seconds},
        "seconds": {
            ran.scenario.name: {
                name: values.tolist() for name, values in asdict(Seconds.of(ran.outcome)).items()
            }
            for ran in campaign.ran
        },
        "hit_rate": {phase.name: campaign.hit_rate(phase) for phase in campaign.phases},
        "replicas": GATEWAYS,
        "restarts": list(campaign.restarts),
        "steps": {
            name: [asdict(step) for step in found.steps]
            for name, found in (("warm", campaign.warm), ("cold", campaign.cold))
        },
    }
