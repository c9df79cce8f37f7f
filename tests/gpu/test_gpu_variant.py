"""The GPU script where there is no GPU: it says so, and every part that needs none works."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests.gpu import run_gpu_variant
from tests.gpu.placement import CPU, CUDA, Placement, PlacementError, session
from tests.gpu.run_gpu_variant import WrongAnswerError, compare, made_up

DRY_RUN = ["--provider", "cpu", "--sizes", "500", "--rounds", "1"]


@pytest.fixture(autouse=True)
def _no_gpu_and_little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    monkeypatch.setattr(run_gpu_variant, "CALLS", {1: 3, 100: 2, 11_000: 1})
    monkeypatch.setitem(run_gpu_variant.SIZES, "500", 12)


def test_without_a_gpu_it_measures_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gpu.json"
    assert run_gpu_variant.main(["--json", str(file)]) == run_gpu_variant.NO_GPU == 3
    said = capsys.readouterr().err
    assert "No GPU: ONNX Runtime" in said
    assert "Nothing was measured" in said
    assert not file.exists()


def test_a_dry_run_goes_through_every_part_and_claims_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gpu.json"
    assert run_gpu_variant.main([*DRY_RUN, "--json", str(file)]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("DRY RUN ON THE CPU")
    assert "nodes by provider:\n  CPUExecutionProvider: " in shown.err
    # What computes with shapes would be put on the CPU, as trees would.
    assert "TreeEnsemble" not in shown.err
    assert "Shape" not in shown.err
    document = json.loads(file.read_text())
    assert document["settings"] == {"dry_run": True}
    rows = {row["metric"]: row for row in document["rows"]}
    assert all(row["value"] is None and row["met"] is None for row in rows.values())
    assert rows["gpu_b11000_vs_cpu_500"]["goal_ratio"] == 10.0
    assert all("dry run" in row["note"] for row in rows.values())


def test_a_node_elsewhere_ends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = Placement({CPU: {"Add": 1}, "Another": {"Shape": 1}})
    monkeypatch.setattr(run_gpu_variant, "placement", lambda *_: elsewhere)
    assert run_gpu_variant.main(DRY_RUN) == 1
    assert "Elsewhere: {'Another': {'Shape': 1}}" in capsys.readouterr().err


@pytest.mark.parametrize("error", [1e-3, np.nan])
def test_a_contender_that_is_off_ends_it(error: float) -> None:
    right = made_up(3).inplace_predict
    contenders = {"right": right, "off": lambda x: right(x) + error}
    with pytest.raises(WrongAnswerError, match="off does not compute the model"):
        compare(contenders, right, tolerance=1e-4, rounds=1)


def test_placement_is_read_off_the_profile() -> None:
    events: list[dict[str, Any]] = [
        {"cat": "Session", "name": "model_run"},
        {"cat": "Node", "args": {"op_name": "Add", "provider": CUDA}},
        {"cat": "Node", "args": {"op_name": "Add", "provider": CUDA}},
        {"cat": "Node", "args": {"thread_scheduling_stats": "none"}},
    ]
    found = Placement.of(events)
    assert found.nodes == {CUDA: {"Add": 2}}
    found.require(CUDA)
    with pytest.raises(PlacementError, match="Not every node ran on CPU"):
        found.require(CPU)
    with pytest.raises(PlacementError, match="shows no node"):
        Placement.of([]).require(CUDA)


def test_a_provider_that_falls_back_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlacementError, match="has no CUDAExecutionProvider"):
        session(b"", CUDA, threads=1)
    with pytest.raises(PlacementError, match="does not take the graph"):
        session(b"no graph", CPU, threads=1)
    # As on a machine that has the package, and no driver: the CPU is taken in silence.
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    fallen = SimpleNamespace(get_providers=lambda: [CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: fallen)
    with pytest.raises(PlacementError, match="did not load; ONNX Runtime took"):
        session(b"", CUDA, threads=1)
