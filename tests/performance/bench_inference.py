"""`tezi bench inference`: the variants of a model against its pickle, each on one thread.

Every call gets rows that no call had before: stocks and days after everything that was learnt
from. All contenders answer the same rows in turns, and one that answers wrong ends the benchmark.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from preprocess.cli.progress import progress_bar
from preprocess.models.native import Doubles, Float32s
from preprocess.models.verification import graph_probabilities
from preprocess.settings import load_settings
from preprocess.training.dataset import Dataset
from preprocess.training.learner import Parameters
from tests.performance import inference_rows as names
from tests.performance import inference_ways as ways
from tests.performance.contender import Contender
from tests.performance.forests import Forest, trained, trees_of_big_pickle
from tests.performance.held_out import Plan, fresh_rows, samples
from tests.performance.inference_rows import Both, Goals, Judged, SizeRows, variants_grids
from tests.performance.lleaves_tool import LLeaves
from tests.performance.market import QUICK, SEED, WHOLE, generated_market
from tests.performance.measure import Way, apart, in_turns, one_thread
from tests.performance.report import Report
from tests.performance.triton_grids import triton_grids

# An INT8 probability that is further from the trained model's than this is no rounding.
INT8_TOLERANCE = 0.01
# lleaves sums doubles in LightGBM's order; so many of the measured rows are compared.
_LLEAVES_TOLERANCE = 1e-9
_LLEAVES_ROWS = 2_000


@dataclass(frozen=True)
class Case:
    """Forests of one size: their number of trees, or None for a pickle of 45 MB."""

    suffix: str
    trees: int | None
    plan: Plan
    goals: Goals


@dataclass(frozen=True)
class Pair:
    """The forests of one size."""

    xgboost: Forest
    lightgbm: Forest


_SHORT = Plan({1: 400, 10: 100, 100: 40, 1_000: 5, 11_000: 2}, rounds=5)
_LONG = Plan({1: 200, 10: 30, 100: 10, 1_000: 2, 11_000: 1}, rounds=3)
CASES = (
    Case("500", 500, _SHORT, Goals(int8_size=14.0, int8_to_fp32=1.5)),
    Case("2000", 2_000, _SHORT, Goals(int8_size=14.0, int8_to_fp32=3.0)),
    Case("45mb", None, _LONG, Goals(int8_size=14.0, int8_to_fp32=3.0)),
)
QUICK_CASES = (
    Case(
        "500",
        500,
        Plan({1: 100, 10: 10, 100: 10, 1_000: 1, 11_000: 1}, rounds=2),
        Goals(int8_size=14.0, int8_to_fp32=1.5),
    ),
)


def run(*, quick: bool, command: str) -> Report:
    """Measure; the first time, market, forests and lleaves's code are made."""
    one_thread()
    home = load_settings().home
    market = generated_market(home, QUICK if quick else WHOLE)
    dataset = samples(market)
    cases = QUICK_CASES if quick else CASES
    lleaves = LLeaves.installed(home)
    pairs = apart(_forests, home, dataset, cases, lleaves)
    measured, grids = [], []
    with TemporaryDirectory(dir=home / "bench") as folder:
        rows_file = Path(folder) / "rows.npy"
        most = max(case.plan.rows for case in cases)
        rows = fresh_rows(market, dataset, most, rows_file)
        for case, pair in zip(cases, pairs, strict=True):
            found = _measured(case, pair, rows_file, lleaves)
            apart(_require_right, pair, found, _measured_rows(case.plan, rows, _LLEAVES_ROWS))
            of_size = SizeRows(case.suffix, found)
            of_size.add(apart(_judged, pair.xgboost, found), case.goals)
            measured.append(of_size)
            grids += variants_grids(pair.xgboost.trees, found)
    if quick:
        findings = ["--quick leaves out large forests and Triton."]
    else:
        findings = []
        grids += triton_grids(home, market)
    return Report(
        name="inference",
        command=command,
        seed=SEED,
        rows=[row for case in measured for row in case.rows],
        samples={name: ms for case in measured for name, ms in case.samples.items()},
        plot="pairs",
        findings=findings,
        grids=grids,
        settings={"samples": len(dataset), "depth": 6, "threads": 1, **lleaves.versions},
    )


def _forests(home: Path, dataset: Dataset, cases: Sequence[Case], lleaves: LLeaves) -> list[Pair]:
    pairs: list[Pair] = []
    with progress_bar("Forests") as advance:
        for number, case in enumerate(cases):
            advance(number, len(cases))
            trees = case.trees or trees_of_big_pickle(pairs[-1].xgboost)
            pair = Pair(
                trained(home, dataset, Parameters(family="xgboost", trees=trees)),
                trained(home, dataset, Parameters(family="lightgbm", trees=trees)),
            )
            lleaves.compiled(pair.lightgbm.native_file, trees)
            pairs.append(pair)
        advance(len(cases), len(cases))
    return pairs


def _measured(case: Case, pair: Pair, rows: Path, lleaves: LLeaves) -> Mapping[str, Contender]:
    mine, other, plan = pair.xgboost, pair.lightgbm, case.plan
    files = {
        names.PICKLE: mine.pickle,
        names.FP32: mine.graphs["fp32"],
        names.INT8: mine.graphs["int8"],
        names.LIGHTGBM_FP32: other.graphs["fp32"],
        names.LIGHTGBM_INT8: other.graphs["int8"],
        names.LLEAVES: lleaves.compiled(other.native_file, other.trees),
    }
    setups = {
        names.PICKLE: ways.pickled,
        names.LLEAVES: lleaves.repetition,
    }
    with progress_bar(f"{mine.trees:,} trees") as advance:
        found = in_turns(
            [
                Way(name, setups.get(name, ways.graph), (file, rows, plan))
                for name, file in files.items()
            ],
            plan.repetitions,
            progress=advance,
        )
    return {
        name: Contender(name, found[name], plan, file.stat().st_size / 1e6)
        for name, file in files.items()
    }


def _measured_rows(plan: Plan, rows: Float32s, count: int) -> Float32s:
    """The first of those whose answers a contender has."""
    parts = [rows[part] for number in range(plan.repetitions) for part in plan.slices(number)[1:]]
    first: Float32s = np.concatenate(parts)[:count]
    return first


def _require_right(pair: Pair, found: Mapping[str, Contender], first: Float32s) -> None:
    """See that each contender computes the model that it stands for."""
    expected = found[names.PICKLE].answers
    found[names.FP32].require(expected, pair.xgboost.model.native().tolerance)
    found[names.INT8].require(expected, INT8_TOLERANCE)
    native = pair.lightgbm.model.native()
    found[names.LLEAVES].require(native.probabilities(first), _LLEAVES_TOLERANCE)
    compiled = found[names.LLEAVES].answers
    found[names.LIGHTGBM_FP32].require(compiled, native.tolerance)
    found[names.LIGHTGBM_INT8].require(compiled, INT8_TOLERANCE)


def _judged(forest: Forest, found: Mapping[str, Contender]) -> Judged:
    holdout = forest.model.holdout()
    x, y = holdout.x[holdout.is_test], holdout.y[holdout.is_test]
    return Judged.of(
        y,
        Both(forest.model.native().probabilities(x), _int8_probabilities(forest, x)),
        Both(found[names.PICKLE].answers, found[names.INT8].answers),
        forest.model.about.threshold,
    )


def _int8_probabilities(forest: Forest, x: Float32s) -> Doubles:
    return graph_probabilities(onnx.load(forest.graphs["int8"]), x)
