"""The real perf_analyzer against a real Triton."""

from pathlib import Path

import pytest

from preprocess.errors import TeziError
from preprocess.snapshot.current import load_market
from preprocess.store import open_store
from tests.integration.stack import RunningStack
from tests.performance.perf_analyzer import Load, PerfAnalyzer
from tests.performance.perf_input import write_pairs

pytestmark = pytest.mark.triton


@pytest.fixture(scope="module")
def analyzer(demo_stack: RunningStack) -> PerfAnalyzer:
    return PerfAnalyzer.installed(demo_stack.settings.home)


def test_it_measures_what_triton_has_loaded(
    demo_stack: RunningStack, analyzer: PerfAnalyzer, tmp_path: Path
) -> None:
    settings = demo_stack.settings
    store = open_store(settings)
    try:
        write_pairs(load_market(store, settings.snapshot_path).columns, tmp_path / "p.json", 1_000)
    finally:
        store.close()
    load, address = Load(per_second=100), settings.triton_grpc_address
    point = analyzer.measure(address, "predict_fp32", tmp_path / "p.json", load, window_ms=400)
    assert 30 < point.rate < 200
    assert 0 < point.p50_ms <= point.p95_ms <= point.p99_ms
    with pytest.raises(TeziError, match="could not measure predict_none"):
        analyzer.measure(address, "predict_none", tmp_path / "p.json", load)
