"""The lookup and the graph, run in this process: what Triton's models compute, and its times."""

from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest

from preprocess.errors import FeatureError, ModelError
from preprocess.features.service import FeatureService
from preprocess.profiling.graph import time_graph
from preprocess.profiling.lookup import time_lookups
from preprocess.profiling.requests import FreshPairs
from preprocess.store.sqlite import SQLiteStore
from tests.graphs import tiny_graph


def test_lookups_are_the_services_rows_and_their_times(demo_database: Path) -> None:
    with closing(SQLiteStore(demo_database)) as store:
        fresh = FreshPairs(store.columns(), seed=3)
    requests = [fresh.take(5) for _ in range(30)]
    with closing(FeatureService(lambda: SQLiteStore(demo_database))) as service:
        service.warm_up()
        found = time_lookups(service, requests)
        assert len(found.features) == len(requests)
        for pairs, features in zip(requests, found.features, strict=True):
            codes, days = (
                [each.encode() for each in column] for column in zip(*pairs, strict=True)
            )
            np.testing.assert_array_equal(features, service.rows(codes, days).values)
        assert 0.0 < found.ms < 1_000.0
        assert "rows" in {frame.name for frame in found.frame.walk()}
        with pytest.raises(FeatureError, match="999998"):
            time_lookups(service, [[("999998", "2026-08-14")]])


def test_a_graph_is_timed_by_operator(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(tiny_graph(), str(path))
    found = time_graph(path, [np.ones((rows, 25), dtype=np.float32) for rows in (1, 100)])
    assert 0.0 < found.ms < 1_000.0
    assert {"ReduceMean", "Mul", "Sigmoid"} <= {operator.name for operator in found.operators}
    times = [operator.ms for operator in found.operators]
    assert times == sorted(times, reverse=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]


def test_a_graph_that_is_none_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(ModelError, match="cannot be loaded"):
        time_graph(path, [np.ones((1, 25), dtype=np.float32)])
