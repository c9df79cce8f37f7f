"""The graphs of trained models: one contract, and the model's own answers in every variant."""

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
from onnx import helper

from preprocess.errors import ModelError
from preprocess.features.manifest import FEATURE_NAMES, feature_hash
from preprocess.models.names import VARIANTS, Variant
from preprocess.models.serving_graph import stamp_version
from preprocess.models.session import open_session
from preprocess.models.variants import build, compiled_graph, graph_file
from preprocess.training.card import Family
from preprocess.training.learner import Parameters, fit
from preprocess.training.native import NativeModel
from tests.preprocess.forest.forests import Node, forest_of
from tests.preprocess.models.graphs import ABOUT
from tests.preprocess.training.samples import dataset

FAMILIES: tuple[Family, ...] = get_args(Family)
COMPILED: tuple[Variant, ...] = ("int8", "gpu")
SAMPLES = dataset(900)


@cache
def native_of(family: Family) -> NativeModel:
    # The samples have columns without a missing value, and some where NaN goes either way.
    return fit(Parameters(family, trees=60, learning_rate=0.1), SAMPLES.x, SAMPLES.y).native


@cache
def session_of(family: Family, variant: Variant) -> onnxruntime.InferenceSession:
    return open_session(build(variant, native_of(family), ABOUT).SerializeToString())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_one_contract(family: Family, variant: Variant) -> None:
    session = session_of(family, variant)
    ((name, kind, shape),) = [(i.name, i.type, i.shape) for i in session.get_inputs()]
    assert (name, kind, shape) == ("features", "tensor(float)", ["N", 25])
    assert [(o.name, o.type, o.shape) for o in session.get_outputs()] == [
        ("probability", "tensor(float)", ["N", 1]),
        ("model_version", "tensor(int64)", ["N", 1]),
    ]
    found = {
        item.key: item.value for item in build(variant, native_of(family), ABOUT).metadata_props
    }
    assert found == {
        "tezi.model_id": ABOUT.model_id,
        "tezi.family": ABOUT.family,
        "tezi.variant": variant,
        "tezi.threshold": repr(ABOUT.threshold),
        "tezi.features": json.dumps(list(FEATURE_NAMES)),
        "tezi.feature_hash": feature_hash(),
    }
    assert graph_file(variant) == f"model_{variant}.onnx"
    for rows in (0, 1, 300):
        probability, version = session.run(None, {"features": SAMPLES.x[:rows]})
        assert probability.shape == version.shape == (rows, 1)


@pytest.mark.parametrize("variant", COMPILED)
def test_onnx_runtime_1_19_can_read_it(variant: Variant) -> None:
    graph = build(variant, native_of("xgboost"), ABOUT)
    assert graph.ir_version <= 10
    assert {opset.domain: opset.version for opset in graph.opset_import} == {"": 18}
    # What ONNX Runtime 1.19 has no kernel for: arithmetic on single bytes.
    inferred = onnx.shape_inference.infer_shapes(graph, strict_mode=True, data_prop=True)
    kinds = {
        value.name: value.type.tensor_type.elem_type
        for value in [*inferred.graph.value_info, *inferred.graph.output]
    }
    bytes_ = {onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.UINT16}
    arithmetic = {"Add", "Sub", "Mul", "Div", "Less", "Max", "Min", "ReduceSum"}
    assert not [
        node.name
        for node in inferred.graph.node
        if node.op_type in arithmetic and kinds.get(node.output[0]) in bytes_
    ]


@given(
    x=arrays.arrays(
        np.float32,
        st.tuples(st.sampled_from([1, 3, 40]), st.just(25)),
        elements=st.one_of(
            st.floats(width=32),
            st.floats(-3.0, 3.0, width=32),
            st.just(np.nan),
            st.sampled_from([0.0, -0.0, float(np.float32(1e-35)), -float(np.float32(1e-35))]),
        ),
    )
)
@settings(max_examples=40, deadline=None)
def test_any_row_at_all(x: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    for family in FAMILIES:
        native = native_of(family)
        expected = native.probabilities(x)
        expected[np.isnan(x).all(axis=1)] = np.nan
        for variant in VARIANTS:
            (found,) = session_of(family, variant).run(["probability"], {"features": x})
            allowed = 1e-6 if variant == "fp32" else 5e-5
            np.testing.assert_allclose(found[:, 0], expected, rtol=0, atol=allowed, equal_nan=True)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_row_without_features_is_nan_and_spoils_no_other(
    family: Family, variant: Variant
) -> None:
    x = SAMPLES.x[:100].copy()
    (alone,) = session_of(family, variant).run(["probability"], {"features": x})
    x[2] = np.nan
    (beside,) = session_of(family, variant).run(["probability"], {"features": x})
    assert np.isnan(beside[2, 0])
    assert np.array_equal(np.delete(beside, 2, axis=0), np.delete(alone, 2, axis=0))
    x[2, 24] = 0.0
    (known,) = session_of(family, variant).run(["probability"], {"features": x})
    assert 0 < known[2, 0] < 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_version_can_be_stamped_on_a_copy_of_it(variant: Variant) -> None:
    graph = build(variant, native_of("xgboost"), ABOUT)
    before = graph.SerializeToString(deterministic=True)
    stamped = stamp_version(graph, 2**40)
    assert graph.SerializeToString(deterministic=True) == before
    assert stamp_version(stamped, 0).SerializeToString(deterministic=True) == before
    x = SAMPLES.x[:3].copy()
    x[1] = np.nan
    (version,) = open_session(stamped.SerializeToString()).run(["model_version"], {"features": x})
    assert version.tolist() == [[2**40]] * 3


def test_a_foreign_graph_cannot_be_stamped() -> None:
    graph = helper.make_model(helper.make_graph([], "empty", [], []))
    with pytest.raises(ModelError, match="tezi export"):
        stamp_version(graph, 1)


@pytest.mark.parametrize("variant", COMPILED)
def test_trees_that_are_too_deep_are_refused_with_what_to_do(variant: Variant) -> None:
    node: Node = (0.0,)
    for _ in range(9):
        node = (0, 0.5, False, node, (1.0,))
    with pytest.raises(ModelError, match=f"No {variant.upper()} graph.*--depth 8"):
        compiled_graph(variant, forest_of([node], n_features=25), ABOUT)
