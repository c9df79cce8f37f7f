"""Rows of `tezi bench features` on what the product leaves: groups at once, ranks a request."""

import numpy as np

from tests.performance import group_ways, static_ways
from tests.performance.feature_context import Bench
from tests.performance.measure import Way, in_turns
from tests.performance.row import Row

_AT_ONCE = {
    "threads": "a thread a group, kept; compiled code lets go of the GIL",
    "pool_per_call": "a pool of processes made for each call",
    "pool_kept": "a pool of processes that is kept, with the market in memory",
}


def groups(bench: Bench) -> list[Row]:
    """Technical, financial and static features one after another, and side by side."""
    database = (bench.market.database,)
    found = in_turns(
        [
            Way("sequential", group_ways.sequential, database),
            Way("threads", group_ways.threads, database),
            Way("pool_per_call", group_ways.pool_per_call, database),
            Way("pool_kept", group_ways.pool_kept, database),
        ],
        bench.size.repetitions * 4,
    )
    base = found["sequential"].median_ms
    parts = np.median([times.result for times in found["sequential"].times], axis=0)
    shares = ", ".join(
        f"{name} {share:.0%}"
        for name, share in zip(group_ways.GROUPS, parts / parts.sum(), strict=True)
    )
    ratios = ", ".join(
        f"{name.replace('_', ' ')} {base / found[name].median_ms:.2g}x" for name in _AT_ONCE
    )
    bench.findings.append(
        f"Groups side by side, against one after another: {ratios}. One after another they take "
        f"{base:.3g} ms, of which {shares}: the longest of them bounds what could be saved."
    )
    return [
        Row("groups_sequential", base, "ms", note="one after another"),
        *(
            Row(f"groups_{name}", found[name].median_ms, "ms", base, note=note)
            for name, note in _AT_ONCE.items()
        ),
    ]


def static(bench: Bench) -> list[Row]:
    """What the monthly stamps save, as a share of the time without them."""
    arguments = (bench.market.database, bench.days)
    found = in_turns(
        [
            Way("one_stamped", static_ways.one_row, (*arguments, False)),
            Way("one_ranked", static_ways.one_row, (*arguments, True)),
            Way("all_stamped", static_ways.all_rows, (*arguments, False)),
            Way("all_ranked", static_ways.all_rows, (*arguments, True)),
        ],
        bench.size.repetitions,
    )
    rows = []
    for metric, name, goal, what in (
        ("static_saving_one", "one", 0.2, "one stock's row"),
        ("static_saving_batch", "all", None, "all stocks at once, ranked once"),
    ):
        stamped, ranked = (found[f"{name}_{way}"].median_ms for way in ("stamped", "ranked"))
        note = f"{what}: {stamped:.3g} ms instead of {ranked:.3g} ms with ranks by market cap"
        rows.append(Row(metric, 1.0 - stamped / ranked, "of the time", goal=goal, note=note))
    return rows
