"""The whole stack under the loads that the goals name.

nginx, two gateways, Redis as it is shipped and Triton, with a market of 11,000 stocks; the load
generator takes a part of the same machine. What is sent and how it is looked at lies in load_test/.
"""

from preprocess.settings import load_settings
from tests.performance.load_test.campaign import Campaign, run_campaign
from tests.performance.load_test.judgement import verdicts
from tests.performance.load_test.report import findings, grids, rows
from tests.performance.load_test.whole_stack import CACHE, GATEWAYS
from tests.performance.market import SEED, SMALL, WHOLE, generated_market
from tests.performance.report import Report

_QUICK_SCALE = 0.001


def run(*, quick: bool, command: str, scale: float | None = None) -> Report:
    """Run all scenarios; `scale` is what their durations are multiplied by.

    `quick` takes a market of 100 stocks, and leaves out the greatest rates.
    """
    home = load_settings().home
    used = scale or (_QUICK_SCALE if quick else 1.0)
    market = generated_market(home, SMALL if quick else WHOLE)
    folder = home / "bench" / "load"
    campaign = run_campaign(market, folder, scale=used, seed=SEED, search=not quick)
    return report_of(campaign, command, used)


def report_of(campaign: Campaign, command: str, scale: float) -> Report:
    """The report of a campaign."""
    found = rows(campaign)
    return Report(
        name="load",
        command=command,
        seed=SEED,
        rows=found,
        samples={ran.scenario.name: ran.outcome.latency_ms.tolist() for ran in campaign.ran},
        findings=findings(campaign),
        grids=[verdicts(found), *grids(campaign)],
        settings={"stocks": campaign.stocks, "gateways": GATEWAYS, **CACHE, "scale": scale},
    )
