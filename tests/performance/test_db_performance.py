"""The database benchmark in its quick form: the same rows, in less time.

In full: `python -m tests.performance db`.
"""

from preprocess.settings import Settings
from tests.performance.quick import assert_shape, run_quick

METRICS = {
    "price_one_stock",
    "price_one_stock_packed",
    "financials_all",
    "join_100k_sqlite",
    "join_100k_postgres",
    "batch_from_cache",
}


def test_the_database_answers_as_the_naive_way_does(bench_settings: Settings) -> None:
    quick = run_quick(bench_settings, "db")  # it ends if the joins differ
    assert_shape(quick, METRICS)
    rows = quick.rows
    assert all(rows[metric]["cpu_s"] > 0 for metric in METRICS)
    assert rows["join_100k_postgres"]["note"].startswith("4,000 samples, every one compared")
