"""The GPU script where there is no GPU: it says so, and every part that needs none works."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightgbm
import numpy as np
import onnxruntime
import pytest

from tests.gpu import comparison, run_gpu_variant
from tests.gpu.comparison import WrongAnswerError, compare
from tests.gpu.figures import gpu_names
from tests.gpu.models import Subject, from_folder, made_up
from tests.gpu.other_libraries import rapids
from tests.gpu.placement import CPU, CUDA, Placement, PlacementError, session
from tests.gpu.tree_ensemble import tree_ensemble

CALLS = {1: 3, 10: 2, 100: 2, 1_000: 1, 11_000: 1}


@pytest.fixture(autouse=True)
def _no_gpu_and_little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    monkeypatch.setattr(comparison, "CALLS", CALLS)
    monkeypatch.setitem(run_gpu_variant.SIZES, "500", 12)


@pytest.fixture(scope="module")
def subject() -> Subject:
    return made_up(12, 1, "500")


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
    arguments = ["--provider", "cpu", "--sizes", "500", "--rounds", "1", "--json", str(file)]
    assert run_gpu_variant.main(arguments) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("DRY RUN ON THE CPU")
    assert "nodes by provider:\n  CPUExecutionProvider: " in shown.err
    # What computes with shapes would be put on the CPU, as trees would.
    assert "TreeEnsemble" not in shown.err
    assert "Shape" not in shown.err
    document = json.loads(file.read_text())
    assert document["settings"] == {"dry_run": True}
    rows = {row["metric"]: row for row in document["rows"]}
    assert len(rows) == 10
    assert all(row["value"] is None and row["met"] is None for row in rows.values())
    assert rows["gpu_b11000_vs_cpu_500"]["goal_ratio"] == 10.0
    assert all("dry run" in row["note"] for row in rows.values())


def test_a_wrong_answer_or_a_cpu_node_ends_it(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--provider", "cpu", "--sizes", "500", "--rounds", "1"]
    other = made_up(3, 1, "500").native.forest()
    with monkeypatch.context() as wrong:
        wrong.setattr(run_gpu_variant, "tree_ensemble", lambda _forest: tree_ensemble(other))
        assert run_gpu_variant.main(arguments) == 1
    assert "does not compute the model" in capsys.readouterr().err
    elsewhere = Placement({CPU: {"Add": 1}, "Another": {"Shape": 1}})
    monkeypatch.setattr(run_gpu_variant, "placement", lambda *_: elsewhere)
    assert run_gpu_variant.main(arguments) == 1
    assert "Elsewhere: {'Another': {'Shape': 1}}" in capsys.readouterr().err


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


def test_a_provider_that_falls_back_is_refused(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = tree_ensemble(subject.native.forest()).SerializeToString()
    with pytest.raises(PlacementError, match="has no CUDAExecutionProvider"):
        session(graph, CUDA, threads=1)
    # As on a machine that has the package, and no driver: the CPU is taken in silence.
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    fallen = SimpleNamespace(get_providers=lambda: [CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: fallen)
    with pytest.raises(PlacementError, match="did not load; ONNX Runtime took"):
        session(graph, CUDA, threads=1)


def test_a_graph_that_the_provider_refuses_is_no_answer(subject: Subject) -> None:
    with pytest.raises(PlacementError, match="does not take the graph"):
        session(b"no graph", CPU, threads=1)


def test_the_cpu_graph_is_the_forest_with_nan_and_infinities(subject: Subject) -> None:
    rows = subject.rows(500)
    rows[:50, :12] = np.nan
    rows[50:60] = np.finfo(np.float32).max
    graph = tree_ensemble(subject.native.forest()).SerializeToString()
    made = session(graph, CPU, threads=1)
    found = made.run(["probability"], {"features": rows})[0][:, 1]
    assert np.abs(found - subject.native.probabilities(rows)).max() <= 1e-6


def test_rows_are_fresh(subject: Subject) -> None:
    both = np.concatenate([subject.rows(300), subject.rows(300)])
    assert len(np.unique(both, axis=0)) == 600


def test_a_contender_that_is_off_is_found_out(subject: Subject) -> None:
    right = subject.on_all_cores
    contenders = {"right": right, "off": lambda x: right(x) + 1e-3}
    with pytest.raises(WrongAnswerError, match="off does not compute the model"):
        compare(contenders, "right", subject.rows, tolerance=1e-4, rounds=1)
    times = compare(contenders, "right", subject.rows, tolerance=2e-3, rounds=2)
    assert {size: len(ms) for size, ms in times.ms["off"].items()} == {
        size: 2 * calls for size, calls in CALLS.items()
    }


def test_a_lightgbm_folder_is_taken(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(600, 25)).astype(np.float32)
    options = {"objective": "binary", "num_threads": 1, "verbosity": -1, "max_depth": 4}
    y = (x[:, 0] > 0.5).astype(int)
    booster = lightgbm.train(options, lightgbm.Dataset(x, label=y), num_boost_round=5)
    booster.save_model(str(tmp_path / "model.txt"))
    np.savez(tmp_path / "holdout.npz", x=x)
    taken = from_folder(tmp_path, 1)
    rows = taken.rows(200)
    graph = tree_ensemble(taken.native.forest()).SerializeToString()
    found = session(graph, CPU, threads=1).run(["probability"], {"features": rows})[0][:, 1]
    assert np.abs(found - taken.on_all_cores(rows)).max() <= 1e-6
    with pytest.raises(FileNotFoundError):
        from_folder(tmp_path / "nothing", 1)


def test_what_is_not_installed_is_left_out(tmp_path: Path) -> None:
    assert list(rapids(tmp_path)) == []


def test_a_machine_without_nvidia_smi_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert gpu_names() == "none"
