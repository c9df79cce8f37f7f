"""The GPU script where there is no GPU: it says so, and every part that needs none works."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests.gpu import run_gpu_variant
from tests.gpu.placement import CPU, CUDA, NoProviderError, PlacementError, placed, session
from tests.gpu.run_gpu_variant import WrongAnswerError, compare, made_up

DRY_RUN = ["--provider", "cpu", "--sizes", "500"]


@pytest.fixture(autouse=True)
def _no_gpu_and_little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    monkeypatch.setattr(run_gpu_variant, "CALLS", {1: 3, 100: 2, 11_000: 1})
    monkeypatch.setattr(run_gpu_variant, "ROUNDS", 1)
    monkeypatch.setitem(run_gpu_variant.SIZES, "500", 12)


def test_without_a_gpu_it_measures_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gpu.json"
    arguments = ["--sizes", "500", "--json", str(file)]
    assert run_gpu_variant.main(arguments) == run_gpu_variant.NO_GPU == 3
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
    assert shown.out == "Dry run on the CPU: the parts work. Nothing was measured.\n"
    assert not file.exists()
    # What computes with shapes would be put on the CPU, as trees would.
    assert "TreeEnsemble" not in shown.err
    assert "Shape" not in shown.err


def test_the_document_has_the_form_of_the_other_benchmarks() -> None:
    times = {
        name: {size: [ms] for size in run_gpu_variant.CALLS}
        for name, ms in (("gpu", 1.0), ("fp32", 20.0))
    }
    document = run_gpu_variant._document("command", run_gpu_variant._rows("500", times))
    rows = {row["metric"]: row for row in document["rows"]}
    assert rows["gpu_b11000_vs_cpu_500"]["ratio"] == 20.0
    assert rows["gpu_b11000_vs_cpu_500"]["met"] is True
    assert {"machine", "versions", "seed", "command"} <= document.keys()


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
    assert placed(events, CUDA) == {CUDA: {"Add": 2}}
    with pytest.raises(PlacementError, match=r"Not every node ran on CPU.*'Add': 2"):
        placed(events, CPU)
    with pytest.raises(PlacementError, match="shows no node"):
        placed([], CUDA)


def test_a_provider_that_falls_back_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoProviderError, match="has no CUDAExecutionProvider"):
        session(b"", CUDA, threads=1)
    with pytest.raises(PlacementError, match="does not take the graph"):
        session(b"no graph", CPU, threads=1)
    # As on a machine that has the package, and no driver: the CPU is taken in silence.
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    fallen = SimpleNamespace(get_providers=lambda: [CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: fallen)
    with pytest.raises(NoProviderError, match="did not load; ONNX Runtime took"):
        session(b"", CUDA, threads=1)
