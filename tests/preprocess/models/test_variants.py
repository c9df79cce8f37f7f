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

from preprocess.errors import ModelError
from preprocess.features.manifest import FEATURE_NAMES, feature_hash
from preprocess.models.content import content_of
from preprocess.models.gate import tolerance
from preprocess.models.names import VARIANTS, Variant
from preprocess.models.stamp import stamp_version
from preprocess.models.variants import build, graph_file
from preprocess.models.walk import gpu_graph, int8_graph
from preprocess.training.learner import Parameters, fit
from preprocess.training.model_card import Family
from preprocess.training.native import NativeModel
from tests.preprocess.forest.forests import Node, forest_of
from tests.preprocess.models.graphs import ABOUT
from tests.preprocess.training.samples import dataset

FAMILIES: tuple[Family, ...] = get_args(Family)
WALKS: tuple[Variant, ...] = ("int8", "gpu")
SAMPLES = dataset(900)


@cache
def native_of(family: Family) -> NativeModel:
    # The samples have columns without a missing value, and some where NaN goes either way.
    return fit(Parameters(family, trees=60, learning_rate=0.1), SAMPLES.x, SAMPLES.y).native


@cache
def session_of(family: Family, variant: Variant) -> onnxruntime.InferenceSession:
    graph = build(variant, native_of(family), ABOUT)
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )


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


@pytest.mark.parametrize("family", FAMILIES)
def test_onnx_runtime_1_19_can_read_the_reference(family: Family) -> None:
    graph = build("fp32", native_of(family), ABOUT)
    assert graph.ir_version <= 10
    opsets = {opset.domain: opset.version for opset in graph.opset_import}
    assert opsets.keys() == {"", "ai.onnx.ml"}
    assert opsets[""] <= 21
    assert opsets["ai.onnx.ml"] <= 3


@pytest.mark.parametrize("variant", WALKS)
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


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_split_point_and_both_neighbours(family: Family, variant: Variant) -> None:
    native = native_of(family)
    rows = []
    for feature, points in enumerate(native.split_points()):
        with np.errstate(over="ignore"):
            nearest = points.astype(np.float32)
            steps = (np.nextafter(nearest, s) for s in np.array([-np.inf, np.inf], np.float32))
            values = np.concatenate([nearest, *steps])
        for base in SAMPLES.x[:3]:
            block = np.repeat(base[None], len(values), axis=0)
            block[:, feature] = values
            rows.append(block)
    x = np.concatenate(rows)
    (found,) = session_of(family, variant).run(["probability"], {"features": x})
    allowed = tolerance(variant, native, native.forest())
    assert np.abs(found[:, 0] - native.probabilities(x)).max() <= allowed < 5e-5


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


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_batch_answers_as_single_rows_do(family: Family, variant: Variant) -> None:
    session, x = session_of(family, variant), SAMPLES.x[:300]
    (batch,) = session.run(["probability"], {"features": x})
    single = [session.run(["probability"], {"features": row[None]})[0][0, 0] for row in x]
    np.testing.assert_allclose(batch[:, 0], single, rtol=0, atol=5e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_version_can_be_stamped_on_it(variant: Variant) -> None:
    graph = stamp_version(build(variant, native_of("xgboost"), ABOUT), 7)
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (version,) = session.run(["model_version"], {"features": SAMPLES.x[:3]})
    assert version.tolist() == [[7], [7], [7]]


def test_int8_holds_integers_and_gpu_nothing_for_a_cpu() -> None:
    native = native_of("xgboost")
    int8 = content_of(build("int8", native, ABOUT))
    leaves = int(native.forest().is_leaf.sum())
    assert int8.tensor_types["int8"] == leaves
    assert int8.tensor_types["uint8"] > leaves
    assert int8.tensor_types["uint16"] > 0
    assert {"MatMulInteger", "GatherElements"} <= int8.operators.keys()
    gpu = content_of(build("gpu", native, ABOUT))
    assert not {"Shape", "If", "Scan", "TreeEnsembleClassifier"} & gpu.operators.keys()


def test_trees_that_are_too_deep_are_refused_with_what_to_do() -> None:
    node: Node = (0.0,)
    for _ in range(9):
        node = (0, 0.5, False, node, (1.0,))
    deep = forest_of([node], n_features=25)
    for graph, name in ((int8_graph, "INT8"), (gpu_graph, "GPU")):
        with pytest.raises(ModelError, match=f"No {name} graph.*--depth 8"):
            graph(deep, ABOUT)
