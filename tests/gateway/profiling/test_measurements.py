"""The measurements of a profile: which figures are read from whom, and what is refused."""

from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest

from gateway.profiling.measurements import (
    Totals,
    gateway_totals,
    time_graph,
    time_lookups,
    triton_totals,
)
from gateway.profiling.run import fresh_pairs
from preprocess.errors import FeatureError, ServerError, StoreError
from preprocess.features.row import MINIMUM_ROWS
from preprocess.market.columns import columns_of
from preprocess.serving.service import FeatureService
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import history, prices
from tests.graphs import tiny_graph
from tests.integration.stack import free_ports


def test_means_are_of_what_was_done_in_between() -> None:
    after, before = Totals(30, 160.0, 3.0, 26.0), Totals(10, 100.0, 1.0, 16.0)
    assert after.mean_since(before) == Totals(20, 3.0, 0.1, 0.5)
    assert before.mean_since(before) == Totals()


def test_a_server_that_is_not_there_is_an_error() -> None:
    (port,) = free_ports(1)
    with pytest.raises(ServerError, match="/metrics does not answer"):
        gateway_totals(f"http://127.0.0.1:{port}")
    with pytest.raises(ServerError, match="features/stats does not answer"):
        triton_totals(f"127.0.0.1:{port}", "features")


def test_no_pair_comes_twice_before_all_have_come(demo_store: SQLiteStore) -> None:
    columns = demo_store.columns()
    count = sum(min(max(len(h.prices) - MINIMUM_ROWS, 0), 250) for h in demo_store.histories())
    pairs = fresh_pairs(columns, count + 5)
    assert len(set(pairs[:count])) == count
    assert pairs[count:] == pairs[:5]
    with pytest.raises(StoreError, match="tezi demo"):
        fresh_pairs(columns_of([history("500001", prices([100.0] * MINIMUM_ROWS))]), 1)


def test_lookups_are_the_services_rows(demo_database: Path, tmp_path: Path) -> None:
    with closing(SQLiteStore(demo_database)) as store:
        pairs = fresh_pairs(store.columns(), 50)
    requests = [pairs[at : at + 5] for at in range(0, 50, 5)]
    with closing(FeatureService(lambda: SQLiteStore(demo_database))) as service:
        ms, features = time_lookups(service, requests)
        assert 0.0 < ms < 10_000.0
        codes, days = ([each.encode() for each in one] for one in zip(*requests[3], strict=True))
        np.testing.assert_array_equal(features[3], service.rows(codes, days).values)
        with pytest.raises(FeatureError, match="999998"):
            time_lookups(service, [[("999998", "2026-08-14")]])
    graph = tmp_path / "model.onnx"
    onnx.save(tiny_graph(), str(graph))
    assert 0.0 < time_graph(graph, features) < 10_000.0
