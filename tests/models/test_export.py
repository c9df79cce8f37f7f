"""Export: all graphs and their proof, or nothing."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest

from preprocess.errors import ModelError
from preprocess.models import export as export_module
from preprocess.models.export import PROOF_FILE, export
from preprocess.models.folder import CARD_FILE, MODEL_FILES, ModelFolder
from preprocess.models.native import NativeModel
from preprocess.models.variants import build, graph_file
from preprocess.models.verification import graph_probabilities
from preprocess.repository.names import VARIANTS, Variant


def test_it_writes_every_graph_and_the_proof(model: ModelFolder) -> None:
    steps: list[tuple[int, int]] = []
    proof = export(model, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(step, 5) for step in range(6)]
    assert json.loads((model.path / PROOF_FILE).read_bytes()) == json.loads(proof.to_json())
    paths = [model.path / graph_file(variant) for variant in VARIANTS]
    before = [path.read_bytes() for path in paths]
    x, expected = model.holdout().x, model.native().probabilities(model.holdout().x)
    for path in paths:
        graph = onnx.load(path)
        onnx.checker.check_model(graph)
        assert np.abs(graph_probabilities(graph, x) - expected).max() <= 1e-5
    export(model)
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.parametrize("trained", ["xgboost"], indirect=True)
def test_a_graph_that_fails_stops_all(model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(variant: Variant, native: NativeModel, about: object) -> onnx.ModelProto:
        card = replace(model.about, threshold=0.9) if variant == "int8" else model.about
        return build(variant, native, card)

    monkeypatch.setattr(export_module, "build", other)
    with pytest.raises(ModelError, match="because int8 failed"):
        export(model)
    assert not list(model.path.glob("*.onnx"))
    assert not (model.path / PROOF_FILE).exists()


@pytest.mark.parametrize("trained", ["xgboost"], indirect=True)
def test_a_variant_that_does_not_suit_is_left_out_and_its_old_graph_goes(
    model: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_int8(variant: Variant, native: NativeModel, about: object) -> onnx.ModelProto:
        if variant == "int8":
            raise ModelError("Too deep.")
        return build(variant, native, model.about)

    export(model)
    monkeypatch.setattr(export_module, "build", without_int8)
    proof = export(model)
    assert proof.left_out == {"int8": "Too deep."}
    assert not (model.path / graph_file("int8")).exists()
    assert (model.path / graph_file("gpu")).is_file()


@pytest.mark.parametrize("trained", ["xgboost"], indirect=True)
def test_without_the_reference_there_is_no_export(
    model: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(variant: Variant, native: NativeModel, about: object) -> onnx.ModelProto:
        raise ModelError("No graph.")

    monkeypatch.setattr(export_module, "build", none)
    with pytest.raises(ModelError, match="No graph"):
        export(model)


def test_a_damaged_model_or_another_manifest_is_not_exported(model: ModelFolder) -> None:
    card = json.loads((model.path / CARD_FILE).read_bytes())
    card["features"][3] = "close"
    (model.path / CARD_FILE).write_text(json.dumps(card))
    with pytest.raises(ModelError, match="'close' as feature 4"):
        ModelFolder.open(model.path)
    file = model.path / MODEL_FILES[model.about.family]
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ModelError, match="not the file that was trained"):
        export(model)
    assert not list(model.path.glob("*.onnx"))


@pytest.mark.parametrize("trained", ["xgboost"], indirect=True)
def test_written_graphs_survive_a_failed_export(model: ModelFolder) -> None:
    export(model)
    before = (model.path / graph_file("fp32")).read_bytes()
    (model.path / MODEL_FILES[model.about.family]).write_bytes(b"")
    with pytest.raises(ModelError):
        export(model)
    assert (model.path / graph_file("fp32")).read_bytes() == before
