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

from preprocess.features.manifest import FEATURE_NAMES, feature_hash
from preprocess.models.card import Family
from preprocess.models.folder import ModelFolder
from preprocess.models.native import NativeModel
from preprocess.models.variants import fp32_graph
from preprocess.models.verification import graph_probabilities
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
