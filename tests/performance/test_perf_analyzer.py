"""perf_analyzer as a tool of its own: installed once, read right, clear when it cannot be had."""

import json
from pathlib import Path

import pytest

from preprocess.errors import TeziError
from preprocess.settings import Settings
from preprocess.snapshot.file import read_snapshot
from tests.performance.market import QUICK, BenchMarket, generated_market
from tests.performance.perf_analyzer import Load, PerfAnalyzer, Point
from tests.performance.perf_input import write_features, write_pairs
from tests.performance.tool_folder import LOCKS, tool_folder

TABLE = """Concurrency,Inferences/Second,Client Send,p50 latency,p90 latency,p95 latency,p99 latency
1,508.85,8,1468,2880,4523,9320
4,821.378,8,3761,8321,11794,19313
"""


def test_the_last_line_of_the_table_counts() -> None:
    late = "not able to keep up with the desired request rate. 25.00% of the requests were delayed."
    assert Point.parse(TABLE, late) == Point(821.378, 3.761, 11.794, 19.313, 0.25)
    assert Point.parse(TABLE, "Throughput: 821 infer/sec").delayed == 0.0


def test_a_tool_that_cannot_be_had_says_so_and_leaves_what_is_there(tmp_path: Path) -> None:
    locks = tmp_path / "locks"
    locks.mkdir()
    lock = locks / "tool.lock"
    lock.write_text("# nothing\n")
    folder = tool_folder(tmp_path, "tool", locks=locks)
    (folder / "made.txt").touch()
    assert tool_folder(tmp_path, "tool", locks=locks) == folder
    assert (folder / "made.txt").is_file()  # not installed a second time
    lock.write_text(f"{tmp_path}/nothing-1.0-py3-none-any.whl --hash=sha256:{'0' * 64}\n")
    with pytest.raises(TeziError, match="tool cannot be installed"):
        tool_folder(tmp_path, "tool", locks=locks)
    assert (folder / "made.txt").is_file()
    assert [path.name for path in (tmp_path / "tools").iterdir()] == ["tool"]


@pytest.mark.parametrize("name", ["perf-analyzer", "lleaves"])
def test_every_package_is_pinned_with_its_hash(name: str) -> None:
    lines = (LOCKS / f"{name}.lock").read_text("utf-8").splitlines()
    packages = [line for line in lines if "==" in line]
    assert packages
    assert all(line.endswith(" \\") for line in packages)
    assert sum("--hash=sha256:" in line for line in lines) >= len(packages)
    assert not any("://" in line for line in lines)


def test_its_words_are_passed_on_when_it_fails(tmp_path: Path) -> None:
    command = tmp_path / "perf_analyzer"
    command.write_text("#!/bin/sh\necho 'no such model' >&2\nexit 99\n")
    command.chmod(0o755)
    with pytest.raises(TeziError, match="could not measure predict_fp32 at nowhere:1: no such"):
        PerfAnalyzer(command).measure("nowhere:1", "predict_fp32", tmp_path, Load(in_flight=1))


@pytest.fixture(scope="module")
def market(bench_settings: Settings) -> BenchMarket:
    return generated_market(bench_settings.home, QUICK)


def test_inputs_are_many_different_rows(market: BenchMarket, tmp_path: Path) -> None:
    columns = read_snapshot(market.snapshot)
    pairs, features = tmp_path / "pairs.json", tmp_path / "features.json"
    write_pairs(columns, pairs, 500)
    write_features(columns, features, 500)
    rows = json.loads(pairs.read_text())["data"]
    assert len({json.dumps(row) for row in rows}) == 500
    assert all(row["bse_code"][0].encode() in columns.places for row in rows)
    encoded = json.loads(features.read_text())["data"]
    assert len({row["features"]["b64"] for row in encoded}) == 500
