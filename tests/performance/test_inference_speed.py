"""The inference benchmark in its quick form: right answers, fresh rows, every metric.

In full: `python -m tests.performance inference`.
"""

import numpy as np
import pytest

from preprocess.settings import Settings
from preprocess.training.native import Doubles
from tests.performance.bench_inference import CASES, QUICK_CASES
from tests.performance.contenders import Contender, Plan
from tests.performance.measure import Measured, Times
from tests.performance.quick import assert_shape, run_quick

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
    times = [Times([0.1], part) for part in np.array_split(answers, len(PLAN.parts))]
    return Contender("int8", Measured(times, 0.0), PLAN, 1.0)


def test_variants_are_smaller_and_say_the_same(bench_settings: Settings) -> None:
    quick = run_quick(bench_settings, "inference")
    assert_shape(quick, {f"{metric}_500" for metric in METRICS})
    rows, grids = quick.rows, quick.document["grids"]
    assert [line[0] for grid in grids for line in grid["rows"]] == [
        *("pickle", "fp32", "int8"),
        *("lleaves", "fp32", "int8"),
    ]
    assert rows["size_int8_500"]["ratio"] > 2
    assert rows["int8_labels_equal_500"]["value"] >= 0.9995
    assert rows["int8_labels_equal_500"]["note"].startswith("25,600 measured rows")
    assert rows["int8_f1_loss_500"]["value"] < 0.02
    gpu = rows["gpu_b11000_vs_cpu_500"]
    assert (gpu["value"], gpu["ratio"], gpu["met"]) == (None, None, None)


@pytest.mark.parametrize("plan", [case.plan for case in (CASES[0], CASES[-1], *QUICK_CASES)])
def test_no_row_is_used_twice(plan: Plan) -> None:
    parts = [part for calls in plan.parts for part in calls]
    asked = np.concatenate([np.arange(part.start, part.stop) for part in parts])
    assert len(np.unique(asked)) == len(asked) == plan.rows
    assert asked.max() < plan.rows


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
