"""The inference benchmark in its quick form: right answers, fresh rows, every metric."""

from pathlib import Path

import numpy as np
import pytest

from preprocess.models.native import Doubles
from preprocess.settings import Settings
from tests.performance import inference_ways as ways
from tests.performance.bench_inference import CASES, QUICK_CASES
from tests.performance.contender import Contender
from tests.performance.held_out import Plan, fresh_rows, samples
from tests.performance.market import QUICK, generated_market
from tests.performance.measure import Measured, Repetition, Times
from tests.performance.quick import Quick, assert_shape, run_quick

pytestmark = pytest.mark.serial

METRICS = {
    "size_int8",
    "fp32_b1_vs_pickle",
    "int8_b1_vs_fp32",
    "int8_b100_vs_fp32",
    "int8_b11000_vs_fp32",
    "int8_b1_vs_pickle",
    "int8_f1_loss",
    "int8_labels_equal",
    "int8_b1_vs_lleaves",
    "int8_b100_vs_lleaves",
    "int8_b11000_vs_lleaves",
    "gpu_b11000_vs_cpu",
}
PLAN = Plan({1: 5, 100: 2}, rounds=2)


def contender(answers: Doubles) -> Contender:
    """One that answered so; what it took is of no interest."""
    times = [Times([0.1], part) for part in np.array_split(answers, PLAN.repetitions)]
    return Contender("int8", Measured(times, 0.0), PLAN, 1.0)


@pytest.fixture(scope="module")
def quick(bench_settings: Settings) -> Quick:
    return run_quick(bench_settings, "inference")


def test_the_report_has_its_shape(quick: Quick) -> None:
    assert_shape(quick, {f"{metric}_500" for metric in METRICS})
    assert quick.document["settings"]["threads"] == 1
    assert quick.document["settings"]["lleaves"] == "1.3.0"


def test_every_contender_has_a_line(quick: Quick) -> None:
    xgboost, lightgbm = (grid["rows"] for grid in quick.document["grids"])
    assert [line[0] for line in xgboost] == ["pickle", "fp32", "int8", "gpu: not measured"]
    assert [line[0] for line in lightgbm] == ["lleaves", "fp32", "int8"]
    assert "500 trees, XGBoost" in quick.file.with_suffix(".md").read_text("utf-8")


def test_int8_is_smaller_and_says_the_same(quick: Quick) -> None:
    rows = quick.rows
    assert rows["size_int8_500"]["ratio"] > 2
    assert rows["int8_labels_equal_500"]["value"] >= 0.9995
    assert rows["int8_labels_equal_500"]["note"].startswith("26,400 measured rows")
    assert rows["int8_f1_loss_500"]["value"] < 0.02


def test_a_graph_answers_one_row_quicker_than_the_pickle(quick: Quick) -> None:
    assert quick.rows["fp32_b1_vs_pickle_500"]["ratio"] > 2


def test_what_was_not_measured_says_so(quick: Quick) -> None:
    gpu = quick.rows["gpu_b11000_vs_cpu_500"]
    assert (gpu["value"], gpu["ratio"], gpu["met"]) == (None, None, None)
    assert "no NVIDIA GPU" in gpu["note"]


def test_latencies_of_one_row_are_of_every_call(quick: Quick) -> None:
    assert quick.document["percentiles_ms"]["fp32_b1_vs_pickle_500"]["p99"] > 0


@pytest.mark.parametrize("plan", [case.plan for case in (CASES[0], CASES[-1], *QUICK_CASES)])
def test_no_row_is_asked_for_twice(plan: Plan) -> None:
    parts = [part for number in range(plan.repetitions) for part in plan.slices(number)]
    asked = np.concatenate([np.arange(part.start, part.stop) for part in parts])
    assert len(np.unique(asked)) == len(asked) == plan.rows
    assert asked.max() < plan.rows


def test_sizes_take_turns() -> None:
    assert [PLAN.size(number) for number in range(PLAN.repetitions)] == [1, 100, 1, 100]
    assert [part.stop - part.start for part in PLAN.slices(3)] == [100, 100, 100]


def test_rows_are_fresh_and_after_what_was_learnt(
    quick: Quick, bench_settings: Settings, tmp_path: Path
) -> None:
    market = generated_market(bench_settings.home, QUICK)
    rows = fresh_rows(market, samples(market), 5_000, tmp_path / "rows.npy")
    assert np.array_equal(rows, np.load(tmp_path / "rows.npy"), equal_nan=True)
    assert len(np.unique(rows, axis=0)) == 5_000
    with pytest.raises(ValueError, match="rows held out, and not 1,000,000"):
        fresh_rows(market, samples(market), 1_000_000, tmp_path / "rows.npy")


@pytest.mark.parametrize("damage", ["other", "nan", "missing"])
def test_wrong_answers_end_the_benchmark(damage: str) -> None:
    right = np.linspace(0.0, 1.0, 410)
    contender(right + 0.009).require(right, 0.01)
    found = right.copy()
    if damage == "missing":
        found = found[:-1]
    else:
        found[7] = np.nan if damage == "nan" else found[7] + 0.02
    with pytest.raises(RuntimeError, match="int8 answer"):
        contender(found).require(right, 0.01)


def test_the_graph_of_another_model_is_found_out(
    quick: Quick, bench_settings: Settings, tmp_path: Path
) -> None:
    folder = bench_settings.home / "bench" / "forests"
    (pickle,) = folder.glob("xgboost-500-*/*/model.pickle")
    (other,) = folder.glob("lightgbm-500-*/*/bench_fp32.onnx")
    market = generated_market(bench_settings.home, QUICK)
    rows = tmp_path / "rows.npy"
    fresh_rows(market, samples(market), PLAN.rows, rows)

    def answered(repetition: Repetition) -> Contender:
        times = [repetition(number) for number in range(PLAN.repetitions)]
        return Contender("fp32", Measured(times, 0.0), PLAN, 1.0)

    expected = answered(ways.pickled(pickle, rows, PLAN)).answers
    right = answered(ways.graph(pickle.with_name("bench_fp32.onnx"), rows, PLAN))
    right.require(expected, 1e-6)
    assert len(right.ms(1)) == 10
    with pytest.raises(RuntimeError, match="fp32 answers wrong for"):
        answered(ways.graph(other, rows, PLAN)).require(expected, 1e-6)
