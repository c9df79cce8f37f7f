"""The database benchmark in its quick form: the same rows, in less time."""

import pytest

from preprocess.settings import Settings
from tests.performance.quick import Quick, assert_shape, run_quick

pytestmark = pytest.mark.serial

METRICS = {
    "price_one_stock",
    "price_one_stock_packed",
    "financials_all",
    "join_100k_sqlite",
    "join_100k_postgres",
    "batch_from_cache",
}


@pytest.fixture(scope="module")
def quick(bench_settings: Settings) -> Quick:
    return run_quick(bench_settings, "db")


def test_the_report_has_its_shape(quick: Quick) -> None:
    assert_shape(quick, METRICS)
    assert quick.document["settings"]["samples"] == 4_000


def test_every_way_joins_the_same_rows(quick: Quick) -> None:
    # A way that joined others would have ended the benchmark.
    assert any("4,000 joined rows" in finding for finding in quick.document["findings"])


@pytest.mark.parametrize("metric", sorted(METRICS | {"price_one_stock_postgres"}))
def test_every_road_is_quicker_than_the_naive_way(quick: Quick, metric: str) -> None:
    assert quick.rows[metric]["ratio"] > 1.5


def test_a_pack_is_quicker_than_its_rows(quick: Quick) -> None:
    assert quick.rows["price_one_stock_pack"]["value"] < quick.rows["price_one_stock"]["value"]


def test_the_cache_pays_for_a_dear_query(quick: Quick) -> None:
    assert quick.rows["aggregate_from_cache"]["ratio"] > 2
