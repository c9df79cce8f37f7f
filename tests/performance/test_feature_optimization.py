"""The feature benchmark in its quick form: the naive way's rows, in less time.

In full: `python -m tests.performance features`.
"""

import numpy as np
import pytest

from preprocess.features.manifest import FEATURE_COUNT
from preprocess.settings import Settings
from tests.performance.naive import distance
from tests.performance.quick import assert_shape, run_quick

FASTER = {
    "rsi_one_stock",
    "macd_one_stock",
    "financial_one_stock",
    "all_one_stock",
    "online_lookup_p99",
    "online_past_date_p99",
    "batch_live_sqlite",
    "batch_live_postgres",
}


def test_features_are_those_of_the_naive_way(bench_settings: Settings) -> None:
    quick = run_quick(bench_settings, "features")
    assert_shape(quick, FASTER | {"batch_peak_memory", "equality_max_rel"})
    rows = quick.rows
    assert rows["equality_max_rel"]["met"]
    assert rows["equality_max_rel"]["note"].startswith("102 random rows")
    assert rows["batch_live_sqlite"]["cpu_s"] > 0
    assert rows["batch_live_sqlite"]["read_mb"] > 1  # the market's packs: some 5 MB
    assert 50 < rows["batch_peak_memory"]["value"] < 1_000
    assert "predict_all_11000" in quick.output  # as left out


def test_distance_goes_by_the_scale_and_sees_what_is_missing() -> None:
    expected = np.full((2, FEATURE_COUNT), 1_000.0)
    expected[0, 1] = 1e-3  # a MACD line near zero, at a price of 1,000
    found = expected.copy()
    found[0, 1] += 1e-9
    relative, feature = distance(found, expected)
    assert relative == pytest.approx(1e-12)
    assert feature == "macd_line"
    found[1, 3] = np.nan
    assert distance(found, expected)[0] == np.inf
    expected[1, 3] = np.nan
    assert distance(found, expected)[0] == pytest.approx(1e-12)
