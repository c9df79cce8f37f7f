"""The feature benchmark in its quick form: the naive way's answers, in less time."""

from typing import Any

import pytest

from preprocess.settings import Settings
from tests.performance.quick import Quick, assert_shape, run_quick

pytestmark = pytest.mark.serial

METRICS = {
    "rsi_one_stock",
    "macd_one_stock",
    "financial_one_stock",
    "all_one_stock",
    "online_lookup_p99",
    "online_past_date_p99",
    "batch_live_sqlite",
    "batch_live_postgres",
    "batch_peak_memory",
}


@pytest.fixture(scope="module")
def quick(bench_settings: Settings) -> Quick:
    return run_quick(bench_settings, "features")


def test_the_report_has_its_shape(quick: Quick) -> None:
    assert_shape(quick, METRICS)
    assert quick.document["settings"]["stocks"] == 400
    assert "predict_all_11000" in quick.output  # as left out


def test_the_naive_way_gives_the_same_rows(quick: Quick) -> None:
    row = quick.rows["equality_max_rel"]
    assert row["value"] <= 1e-9
    assert row["met"]
    assert row["note"].startswith("102 random rows")


@pytest.mark.parametrize("metric", sorted(METRICS - {"batch_peak_memory"}))
def test_every_road_is_quicker_than_the_naive_way(quick: Quick, metric: str) -> None:
    assert quick.rows[metric]["ratio"] > 2


def test_a_second_call_is_quicker_than_the_database(quick: Quick) -> None:
    rows = quick.rows
    assert rows["batch_in_memory"]["value"] < rows["batch_live_sqlite"]["value"]


def test_the_kernel_earns_its_keep(quick: Quick) -> None:
    assert quick.rows["batch_step_kernel"]["ratio"] > 1.5


def test_a_pool_for_each_call_loses_and_the_report_says_so(quick: Quick) -> None:
    assert quick.rows["groups_pool_per_call"]["ratio"] < 1
    assert any("pool per call" in finding for finding in quick.document["findings"])


def test_stamps_save_time(quick: Quick) -> None:
    assert 0 < quick.rows["static_saving_one"]["value"] < 1


def test_what_a_row_took_is_there(quick: Quick) -> None:
    row: dict[str, Any] = quick.rows["batch_live_sqlite"]
    assert row["cpu_s"] > 0
    assert row["read_mb"] > 1  # the market's packs: some 5 MB
    assert 50 < row["peak_mb"] < 1_000
    assert quick.document["percentiles_ms"]["online_lookup_p99"]["p99"] > 0
