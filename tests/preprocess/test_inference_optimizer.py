"""InferenceOptimizer: all graphs and their proof, or nothing; sessions; timing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from preprocess.errors import ModelError
from preprocess.inference_optimizer import InferenceOptimizer
from preprocess.models.names import VARIANTS, Variant
from preprocess.models.proof import PROOF_FILE
from preprocess.models.variants import build, graph_file
from preprocess.training.folder import MODEL_FILES, ModelFolder
from tests.full_disk import Trouble
from tests.preprocess.models.conftest import model
from tests.preprocess.models.graphs import graph_probabilities
from tests.preprocess.training.conftest import trained

__all__ = ["model", "trained"]

one_family = pytest.mark.parametrize("trained", ["xgboost"], indirect=True)


def test_export_writes_every_graph_and_the_proof(model: ModelFolder) -> None:
    steps: list[tuple[int, int]] = []
    optimizer = InferenceOptimizer(model)
    proof = optimizer.export(progress=lambda done, total: steps.append((done, total)))
    assert steps == [(step, 4) for step in range(5)]
    assert json.loads((model.path / PROOF_FILE).read_bytes()) == json.loads(proof.to_json())
    paths = [model.path / graph_file(variant) for variant in VARIANTS]
    before = [path.read_bytes() for path in paths]
    x, expected = model.holdout().x, model.native().probabilities(model.holdout().x)
    for path in paths:
        graph = onnx.load(path)
        onnx.checker.check_model(graph)
        assert np.abs(graph_probabilities(graph, x) - expected).max() <= 1e-5
    assert optimizer.convert_to_onnx() == onnx.load(paths[0])
    assert optimizer.quantize_onnx_model() == onnx.load(paths[1])
    InferenceOptimizer(model).export()
    assert [path.read_bytes() for path in paths] == before


class OtherInt8(InferenceOptimizer):
    """Its INT8 graph has another threshold than the model."""

    def graph(self, variant: Variant) -> onnx.ModelProto:
        about = replace(self._model.about, threshold=0.9)
        native = self._model.native()
        return build(variant, native, about if variant == "int8" else self._model.about)


class Unsuited(InferenceOptimizer):
    """A model that one variant does not suit."""

    variant = "int8"

    def graph(self, variant: Variant) -> onnx.ModelProto:
        if variant == self.variant:
            raise ModelError("Too deep.")
        return super().graph(variant)


class Unconvertible(Unsuited):
    """A model without a reference."""

    variant = "fp32"


@one_family
def test_a_graph_that_fails_stops_all(model: ModelFolder) -> None:
    with pytest.raises(ModelError, match="because int8 failed"):
        OtherInt8(model).export()
    with pytest.raises(ModelError, match="Too deep"):
        Unconvertible(model).export()
    assert not list(model.path.glob("*.onnx"))
    assert not (model.path / PROOF_FILE).exists()


@one_family
def test_a_variant_that_does_not_suit_is_left_out_and_its_old_graph_goes(
    model: ModelFolder,
) -> None:
    (model.path / graph_file("int8")).write_bytes(b"of an earlier export")
    proof = Unsuited(model).export()
    assert proof.left_out == {"int8": "Too deep."}
    assert not (model.path / graph_file("int8")).exists()
    assert (model.path / graph_file("gpu")).is_file()


@one_family
def test_a_full_disk_leaves_all_graphs_as_they_were(
    model: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in model.path.iterdir() if path.is_file()}
    disk = Trouble("full for good")
    monkeypatch.setattr("preprocess.files.sync", disk)
    optimizer = InferenceOptimizer(model)
    for disk.at in range(1, 5):
        disk.calls = 0
        with pytest.raises(OSError, match="No space left"):
            optimizer.export()
        found = {path: path.read_bytes() for path in model.path.iterdir() if path.is_file()}
        assert found == before
    disk.calls, disk.at = 0, 5
    optimizer.export()
    assert disk.calls == 4


@one_family
def test_written_graphs_survive_a_failed_export(model: ModelFolder) -> None:
    graph = model.path / graph_file("fp32")
    graph.write_bytes(b"of an earlier export")
    (model.path / MODEL_FILES[model.about.family]).write_bytes(b"")
    with pytest.raises(ModelError, match="not the file that was trained"):
        InferenceOptimizer(model).export()
    assert graph.read_bytes() == b"of an earlier export"


def test_what_cannot_be_loaded_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    with pytest.raises(ModelError, match=r"noise.onnx cannot be loaded: .+") as error:
        InferenceOptimizer.load_onnx_model(tmp_path / "noise.onnx")
    assert "\n" not in str(error.value)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="there is a GPU here"
)
def test_without_a_gpu_none_is_pretended(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="ONNX Runtime has no GPU here"):
        InferenceOptimizer.load_onnx_model(tmp_path / "any.onnx", use_gpu=True)


@one_family
def test_predictions_and_their_timing(model: ModelFolder) -> None:
    graph = model.path / graph_file("fp32")
    onnx.save(InferenceOptimizer(model).convert_to_onnx(), str(graph))
    session = InferenceOptimizer.load_onnx_model(graph)
    x = model.holdout().x
    found = InferenceOptimizer.predict_batch_onnx(session, x)
    assert np.abs(found - model.native().probabilities(x)).max() <= 1e-6
    assert InferenceOptimizer.predict_batch_onnx(session, x[:0]).shape == (0,)
    with pytest.raises(ModelError, match=r"rows of 25 features, not \(2, 24\)"):
        InferenceOptimizer.predict_batch_onnx(session, np.zeros((2, 24), dtype=np.float32))
    timing = InferenceOptimizer.benchmark_inference(session, x, batch=10, calls=50)
    assert 0 < timing.p50 <= timing.p95 <= timing.p99
    with pytest.raises(ModelError, match="19 rows are too few to time batches of 10"):
        InferenceOptimizer.benchmark_inference(session, x[:19], batch=10)
