"""`python -m tests.performance inference`: a model's variants against its pickle, on one thread.

Every call gets rows that no call had before: stocks and days after everything that was learnt
from. All contenders answer the same rows in turns, and one that answers wrong ends the benchmark.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from sklearn.metrics import f1_score

from gateway.cli.progress import progress_bar
from preprocess.settings import load_settings
from preprocess.store.sqlite.store import SQLiteStore
from preprocess.training.dataset import Dataset, build_dataset
from preprocess.training.learner import Parameters
from preprocess.training.native import Float32s
from tests.performance import contenders, lleaves
from tests.performance.contenders import Contender, Plan
from tests.performance.forests import Forest, trained, trees_of_big_pickle
from tests.performance.market import CIRCUIT_PCT, QUICK, SEED, WHOLE, generated_market
from tests.performance.measure import Way, apart, in_turns, one_thread
from tests.performance.report import Report
from tests.performance.report_text import Grid, figure
from tests.performance.row import Row
from tests.performance.tool_folder import tool_folder
from tests.preprocess.models.graphs import graph_probabilities

# Who takes part, as the tables name them.
PICKLE, FP32, INT8 = "pickle", "fp32", "int8"
LLEAVES, LIGHTGBM_FP32, LIGHTGBM_INT8 = "lleaves", "fp32 of LightGBM", "int8 of LightGBM"
XGBOOST, LIGHTGBM = (PICKLE, FP32, INT8), (LLEAVES, LIGHTGBM_FP32, LIGHTGBM_INT8)
LARGEST = 11_000

# An INT8 probability that is further from the trained model's than this is no rounding.
_INT8_TOLERANCE = 0.01
# lleaves sums doubles in LightGBM's order; so many of the measured rows are compared.
_LLEAVES_TOLERANCE, _LLEAVES_ROWS = 1e-9, 2_000

Found = Mapping[str, Contender]


@dataclass(frozen=True)
class Case:
    """Forests of one size: their number of trees (None: a pickle of 45 MB) and the goal of INT8."""

    suffix: str
    trees: int | None
    plan: Plan
    int8_to_fp32: float


@dataclass(frozen=True)
class Pair:
    """The forests of one size."""

    xgboost: Forest
    lightgbm: Forest


_SHORT = Plan({1: 400, 10: 100, 100: 40, 1_000: 5, LARGEST: 2}, rounds=5)
_LONG = Plan({1: 200, 10: 30, 100: 10, 1_000: 2, LARGEST: 1}, rounds=3)
CASES = (
    Case("500", 500, _SHORT, 1.5),
    Case("2000", 2_000, _SHORT, 3.0),
    Case("45mb", None, _LONG, 3.0),
)
QUICK_CASES = (
    Case("500", 500, Plan({1: 100, 10: 10, 100: 6, 1_000: 1, LARGEST: 1}, rounds=2), 1.5),
)


def run(*, quick: bool, command: str) -> Report:
    """Measure; the first time, market, forests and lleaves's code are made."""
    one_thread()
    home = load_settings().home
    market = generated_market(home, QUICK if quick else WHOLE)
    with closing(SQLiteStore(market.database)) as store:
        dataset = build_dataset(store, circuit_pct=CIRCUIT_PCT)
    cases = QUICK_CASES if quick else CASES
    folder = tool_folder(home, "lleaves")
    pairs = apart(_forests, home, dataset, cases, folder)
    rows: list[Row] = []
    grids: list[Grid] = []
    samples: dict[str, Sequence[float]] = {}
    with TemporaryDirectory(dir=home / "bench") as temporary:
        file = Path(temporary) / "rows.npy"
        most = max(case.plan.rows for case in cases)
        fresh = contenders.fresh_rows(market, dataset, most, file)
        for case, pair in zip(cases, pairs, strict=True):
            found = _measured(case, pair, file, folder)
            apart(_require_right, pair, found, _measured_rows(case.plan, fresh, _LLEAVES_ROWS))
            rows += [_size(case, found), *_ratios(case, found, samples)]
            rows += [*apart(_accuracy, case, pair.xgboost, found), _gpu(case, found)]
            for family, names in (("XGBoost", XGBOOST), ("LightGBM", LIGHTGBM)):
                title = f"{pair.xgboost.trees:,} trees, {family}"
                grids.append(_formats(title, [found[name] for name in names]))
    return Report(
        name="inference",
        command=command,
        seed=SEED,
        rows=rows,
        samples=samples,
        plot="pairs",
        findings=["--quick leaves out large forests."] if quick else [],
        grids=grids,
        settings={"samples": len(dataset), "depth": 6, "threads": 1, **lleaves.versions(folder)},
    )


def _forests(home: Path, dataset: Dataset, cases: Sequence[Case], folder: Path) -> list[Pair]:
    pairs: list[Pair] = []
    with progress_bar("Forests") as advance:
        for number, case in enumerate(cases):
            advance(number, len(cases))
            trees = case.trees or trees_of_big_pickle(pairs[-1].xgboost)
            pair = Pair(
                trained(home, dataset, Parameters(family="xgboost", trees=trees)),
                trained(home, dataset, Parameters(family="lightgbm", trees=trees)),
            )
            lleaves.compiled(folder, pair.lightgbm.native_file, trees)
            pairs.append(pair)
        advance(len(cases), len(cases))
    return pairs


def _measured(case: Case, pair: Pair, rows: Path, folder: Path) -> Found:
    mine, other, plan = pair.xgboost, pair.lightgbm, case.plan
    files = {
        PICKLE: mine.pickle,
        FP32: mine.graphs["fp32"],
        INT8: mine.graphs["int8"],
        LIGHTGBM_FP32: other.graphs["fp32"],
        LIGHTGBM_INT8: other.graphs["int8"],
    }
    setups = {PICKLE: contenders.pickled}
    ways = [
        Way(name, setups.get(name, contenders.graph), (file, rows, plan))
        for name, file in files.items()
    ]
    files[LLEAVES] = lleaves.compiled(folder, other.native_file, other.trees)
    arguments = (other.native_file, files[LLEAVES], rows, plan.parts)
    ways.append(Way(LLEAVES, lleaves.repetition, arguments, imports=folder))
    with progress_bar(f"{mine.trees:,} trees") as advance:
        found = in_turns(ways, len(plan.parts), progress=advance)
    return {
        name: Contender(name, found[name], plan, file.stat().st_size / 1e6)
        for name, file in files.items()
    }


def _measured_rows(plan: Plan, rows: Float32s, count: int) -> Float32s:
    """The first of those whose answers a contender has."""
    parts = [rows[part] for calls in plan.parts for part in calls[1:]]
    first: Float32s = np.concatenate(parts)[:count]
    return first


def _require_right(pair: Pair, found: Found, first: Float32s) -> None:
    """Check that each contender computes the model that it represents."""
    expected = found[PICKLE].answers
    found[FP32].require(expected, pair.xgboost.model.native().tolerance)
    found[INT8].require(expected, _INT8_TOLERANCE)
    native = pair.lightgbm.model.native()
    found[LLEAVES].require(native.probabilities(first), _LLEAVES_TOLERANCE)
    compiled = found[LLEAVES].answers
    found[LIGHTGBM_FP32].require(compiled, native.tolerance)
    found[LIGHTGBM_INT8].require(compiled, _INT8_TOLERANCE)


def _size(case: Case, found: Found) -> Row:
    fp32, int8, pickle = (found[name].size_mb for name in (FP32, INT8, PICKLE))
    note = f"the graphs' files; the pickle has {figure(pickle)} MB"
    return Row(f"size_int8_{case.suffix}", int8, "MB", fp32, note=note, goal_ratio=14.0)


def _ratios(case: Case, found: Found, samples: dict[str, Sequence[float]]) -> list[Row]:
    """One contender's median against another's; the times go into `samples`."""
    pairs = [(f"fp32_b1_vs_pickle_{case.suffix}", FP32, PICKLE, 1, 5.0)]
    pairs += [
        (f"int8_b{size}_vs_fp32_{case.suffix}", INT8, FP32, size, case.int8_to_fp32)
        for size in (1, 100, LARGEST)
    ]
    pairs += [(f"int8_b1_vs_pickle_{case.suffix}", INT8, PICKLE, 1, 12.0)]
    pairs += [
        (f"int8_b{size}_vs_lleaves_{case.suffix}", LIGHTGBM_INT8, LLEAVES, size, 1.0)
        for size in (1, 100, LARGEST)
    ]
    samples |= {metric: found[name].ms(size) for metric, name, _, size, _ in pairs}
    return [
        Row(
            metric, found[name].median_ms(size), "ms", found[other].median_ms(size), goal_ratio=goal
        )
        for metric, name, other, size, goal in pairs
    ]


def _accuracy(case: Case, forest: Forest, found: Found) -> list[Row]:
    """INT8 against the trained model: F1 on labelled rows, and the share of equal labels."""
    holdout = forest.model.holdout()
    x, y = holdout.x[holdout.is_test], holdout.y[holdout.is_test]
    threshold = forest.model.about.threshold
    native = float(f1_score(y, forest.model.native().probabilities(x) >= threshold))
    graph = onnx.load(forest.graphs["int8"])
    int8 = float(f1_score(y, graph_probabilities(graph, x) >= threshold))
    labels = [found[name].answers >= threshold for name in (PICKLE, INT8)]
    return [
        Row(
            f"int8_f1_loss_{case.suffix}",
            max(1.0 - int8 / native, 0.0),
            "relative",
            goal=0.001,
            note=f"F1 {int8:.4f} against the trained model's {native:.4f}, test part",
        ),
        Row(
            f"int8_labels_equal_{case.suffix}",
            float(np.mean(labels[0] == labels[1])),
            "of the rows",
            goal=0.9995,
            note=f"{len(labels[0]):,} measured rows, against the pickle",
        ),
    ]


def _gpu(case: Case, found: Found) -> Row:
    """The row of tests/gpu, which is measured where there is a GPU."""
    note = (
        "no GPU was used: tests/gpu/run_gpu_variant.py measures it where there is one; fp32 on one "
        f"thread of this machine: {figure(found[FP32].median_ms(LARGEST))} ms"
    )
    metric = f"gpu_b{LARGEST}_vs_cpu_{case.suffix}"
    return Row(metric, None, "ms", note=note, goal_ratio=10.0)


def _formats(title: str, who: Sequence[Contender]) -> Grid:
    """Size, latency of one row, and rows a second by rows of a call, one contender a line."""
    sizes = [size for size in who[0].plan.calls if size > 1]
    lines = [
        [
            contender.name.partition(" ")[0],
            figure(contender.size_mb),
            *(figure(float(q)) for q in np.percentile(contender.ms(1), (50, 95, 99))),
            *(f"{size * 1e3 / contender.median_ms(size):,.0f}" for size in sizes),
        ]
        for contender in who
    ]
    heads = ["format", "MB", "p50", "p95", "p99", *(f"{size:,}" for size in sizes)]
    return Grid(f"{title}: MB, ms of one row, rows/s by rows a call", heads, lines)
