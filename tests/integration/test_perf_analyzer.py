"""The real perf_analyzer against a real Triton, as docs/perf-analyzer.md has it."""

import csv
import json
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from preprocess.store import open_store
from tests.integration.stack import RunningStack
from tests.performance.perf_analyzer import install, write_pairs

pytestmark = pytest.mark.triton


def test_it_measures_stocks_and_days_of_the_market(
    demo_stack: RunningStack, tmp_path: Path
) -> None:
    settings = demo_stack.settings
    command, pairs, table = install(settings.home), tmp_path / "pairs.json", tmp_path / "t.csv"
    with closing(open_store(settings)) as store:
        write_pairs(store.columns(), pairs, 1_000)
    assert len({json.dumps(row) for row in json.loads(pairs.read_text())["data"]}) == 1_000
    load = "-i grpc --request-rate-range 100 --request-distribution poisson --async"
    windows = "--measurement-interval 400 --max-trials 3 --stability-percentage 1000"
    words = f"-m predict_fp32 -u {settings.triton_grpc_address} --input-data {pairs} -f {table}"
    subprocess.run(
        [command, *words.split(), *load.split(), *windows.split()],
        check=True,
        timeout=120,
        stdout=subprocess.DEVNULL,
    )
    (line,) = csv.DictReader(table.read_text().splitlines())
    assert 30 < float(line["Inferences/Second"]) < 200
    assert 0 < float(line["p50 latency"]) <= float(line["p99 latency"])
