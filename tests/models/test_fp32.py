"""The exported graph: what goes in and out, where it loads, and that it computes the same."""

import json
from functools import cache
from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from preprocess.errors import ModelError
from preprocess.features.manifest import FEATURE_NAMES, feature_hash
from preprocess.models.card import Family
from preprocess.models.folder import CARD_FILE, MODEL_FILES, ModelFolder
from preprocess.models.fp32 import (
    GRAPH_FILE,
    REPORT_FILE,
    export_fp32,
    fp32_graph,
    verified_graph,
)
from preprocess.models.native import NativeModel
from preprocess.models.verification import graph_probabilities
from preprocess.models.xgboost_model import XGBoostModel
from preprocess.training.dataset import Dataset
from preprocess.training.learner import Parameters, fit
from tests.models.graphs import forest_graph
from tests.training.samples import dataset

FAMILIES: tuple[Family, ...] = get_args(Family)


@cache
def samples() -> Dataset:
    return dataset(900)


@cache
def forest(family: Family) -> NativeModel:
    parameters = Parameters(family, trees=60, learning_rate=0.1)
    return fit(parameters, samples().x, samples().y).native


@cache
def graph_of(family: Family) -> onnx.ModelProto:
    return forest_graph(forest(family))


@cache
def session_of(family: Family) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        graph_of(family).SerializeToString(), providers=["CPUExecutionProvider"]
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_two_outputs_and_nothing_else(family: Family) -> None:
    session = session_of(family)
    ((name, kind, shape),) = [(i.name, i.type, i.shape) for i in session.get_inputs()]
    assert (name, kind, shape) == ("features", "tensor(float)", ["N", 25])
    assert [(o.name, o.type, o.shape) for o in session.get_outputs()] == [
        ("probability", "tensor(float)", ["N", 1]),
        ("model_version", "tensor(int64)", ["N", 1]),
    ]
    assert "ZipMap" not in {node.op_type for node in graph_of(family).graph.node}


@pytest.mark.parametrize("family", FAMILIES)
def test_onnx_runtime_1_19_can_read_it(family: Family) -> None:
    graph = graph_of(family)
    assert graph.ir_version <= 10
    opsets = {opset.domain: opset.version for opset in graph.opset_import}
    assert opsets.keys() == {"", "ai.onnx.ml"}
    assert opsets[""] <= 21
    assert opsets["ai.onnx.ml"] <= 3


def test_it_says_what_it_is(trained: ModelFolder) -> None:
    graph = fp32_graph(trained.native(), trained.about)
    found = {item.key: item.value for item in graph.metadata_props}
    assert found == {
        "tezi.model_id": trained.about.model_id,
        "tezi.family": trained.about.family,
        "tezi.variant": "fp32",
        "tezi.threshold": repr(trained.about.threshold),
        "tezi.features": json.dumps(list(FEATURE_NAMES)),
        "tezi.feature_hash": feature_hash(),
    }
    assert float(found["tezi.threshold"]) == trained.about.threshold


@pytest.mark.parametrize("family", FAMILIES)
def test_every_split_point_in_every_surrounding(family: Family) -> None:
    native = forest(family)
    rows = []
    for feature, points in enumerate(native.split_points()):
        for point in points.astype(np.float32):
            for value in (
                np.nextafter(point, np.float32(-np.inf)),
                point,
                np.nextafter(point, np.float32(np.inf)),
            ):
                for base in samples().x[:8]:
                    row = base.copy()
                    row[feature] = value
                    rows.append(row)
    x = np.array(rows)
    found = graph_probabilities(graph_of(family), x)
    assert np.abs(found - native.probabilities(x)).max() <= 1e-6


@given(
    x=arrays.arrays(
        np.float32,
        (4, 25),
        elements=st.one_of(
            st.floats(width=32),
            st.floats(-3.0, 3.0, width=32),
            st.just(np.nan),
            st.sampled_from([0.0, -0.0, float(np.float32(1e-35)), -float(np.float32(1e-35))]),
        ),
    )
)
@settings(max_examples=60)
def test_any_row_at_all(x: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    for family in FAMILIES:
        (found,) = session_of(family).run(["probability"], {"features": x})
        expected = forest(family).probabilities(x)
        expected[np.isnan(x).all(axis=1)] = np.nan
        np.testing.assert_allclose(found[:, 0], expected, rtol=0, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_without_features_is_nan_and_spoils_no_other(family: Family) -> None:
    x = samples().x[:5].copy()
    (alone,) = session_of(family).run(["probability"], {"features": x})
    x[2] = np.nan
    (beside,) = session_of(family).run(["probability"], {"features": x})
    assert np.isnan(beside[2, 0])
    assert np.array_equal(np.delete(beside, 2, axis=0), np.delete(alone, 2, axis=0))
    x[2, 24] = 0.0
    (known,) = session_of(family).run(["probability"], {"features": x})
    assert 0 < known[2, 0] < 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_answers_as_single_rows_do(family: Family) -> None:
    session, x = session_of(family), samples().x[:300]
    (batch,) = session.run(["probability"], {"features": x})
    single = [session.run(["probability"], {"features": row[None]})[0][0, 0] for row in x]
    np.testing.assert_allclose(batch[:, 0], single, rtol=0, atol=1e-6)


def test_export_writes_the_graph_and_the_comparison(model: ModelFolder) -> None:
    path = export_fp32(model)
    assert path == model.path / GRAPH_FILE
    onnx.checker.check_model(onnx.load(path))
    report = json.loads((model.path / REPORT_FILE).read_bytes())
    assert report["passed"] is True
    assert sum(item["count"] for item in report["comparisons"]) > 5_000
    before = path.read_bytes()
    export_fp32(model)
    assert path.read_bytes() == before
    x = model.holdout().x
    found = graph_probabilities(onnx.load(path), x)
    expected = model.native().probabilities(x)
    assert np.abs(found - expected).max() <= 1e-6
    assert ((found >= model.about.threshold) == (expected >= model.about.threshold)).all()


class Liar(XGBoostModel):
    """A forest whose graph leaves one tree's leaves out."""

    def tree_node(self) -> onnx.NodeProto:
        node = super().tree_node()
        weights = next(item for item in node.attribute if item.name == "class_weights")
        weights.floats[-1] += 0.5
        return node


@pytest.mark.parametrize("trained", ["xgboost"], indirect=True)
def test_a_graph_that_answers_otherwise_is_refused_with_a_table(trained: ModelFolder) -> None:
    native = Liar.load(trained.path / MODEL_FILES["xgboost"])
    with pytest.raises(ModelError, match="does not compute what the model computes") as refused:
        verified_graph(native, trained.about, trained.holdout().x)
    assert "hold-out" in str(refused.value)
    assert "<-- refused" in str(refused.value)


def test_a_damaged_model_or_another_manifest_is_not_exported(model: ModelFolder) -> None:
    card = json.loads((model.path / CARD_FILE).read_bytes())
    card["features"][3] = "close"
    (model.path / CARD_FILE).write_text(json.dumps(card))
    with pytest.raises(ModelError, match="'close' as feature 4"):
        ModelFolder.open(model.path)
    file = model.path / MODEL_FILES[model.about.family]
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ModelError, match="not the file that was trained"):
        export_fp32(model)
    assert not (model.path / GRAPH_FILE).exists()
    assert not (model.path / REPORT_FILE).exists()


def test_the_written_graph_survives_a_failed_export(model: ModelFolder) -> None:
    path = export_fp32(model)
    before = path.read_bytes()
    (model.path / MODEL_FILES[model.about.family]).write_bytes(b"")
    with pytest.raises(ModelError):
        export_fp32(model)
    assert path.read_bytes() == before
