"""The gate lets true graphs pass and finds each kind of damage."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from preprocess.errors import ModelError
from preprocess.models.gate import examine, f1, require_passed
from preprocess.models.names import VARIANTS
from preprocess.models.proof import Proof
from preprocess.models.variants import build
from preprocess.training.folder import ModelFolder
from tests.preprocess.models.graphs import graph_probabilities, tampered


@pytest.fixture(scope="module")
def graphs(trained: ModelFolder) -> Mapping[str, onnx.ModelProto]:
    native = trained.native()
    return {variant: build(variant, native, trained.about) for variant in VARIANTS}


@pytest.fixture(scope="module")
def proof(trained: ModelFolder, graphs: Mapping[str, onnx.ModelProto]) -> Proof:
    return examine(trained, graphs)


def test_true_graphs_pass(trained: ModelFolder, proof: Proof) -> None:
    assert proof.passed, proof.table()
    assert require_passed(proof) is proof
    assert [variant.variant for variant in proof.variants] == list(VARIANTS)
    for variant in proof.variants:
        kinds = {item.rows: item for item in variant.verification.comparisons}
        real = len(trained.holdout().y)
        assert kinds["hold-out"].count == real == proof.real_rows
        assert kinds["hold-out, features exchanged"].count == 10_000 - real
        assert kinds["on or next to a split point"].count > 100
        assert variant.f1 == variant.model_f1 > 0
        assert variant.f1_loss == 0.0


def test_the_proof_says_what_was_found(proof: Proof) -> None:
    document = json.loads(proof.to_json())
    assert document["passed"] is True
    fp32, int8, gpu = document["variants"]
    assert fp32["content"]["operators"]["TreeEnsembleClassifier"] == 1
    assert int8["content"]["tensor_types"]["int8"] > 0
    assert int8["size"] > 0
    assert gpu["failures"] == []
    for entry in (fp32, int8, gpu):
        assert entry["f1_loss"] == 0.0
        assert entry["verification"]["comparisons"][0]["rows"] == "hold-out"
    table = proof.table()
    for word in ("int8: ", "smaller than fp32", "operators: ", "constants: ", "F1 on "):
        assert word in table


def refused(trained: ModelFolder, variant: str, graph: onnx.ModelProto) -> str:
    """The table of a graph that must not pass."""
    proof = examine(trained, {variant: graph})
    assert not proof.passed
    with pytest.raises(ModelError, match=f"because {variant} failed") as error:
        require_passed(proof)
    assert "REFUSED" in str(error.value)
    return str(error.value)


def changed(
    graph: onnx.ModelProto, name: str, change: Callable[[NDArray[Any]], NDArray[Any]]
) -> onnx.ModelProto:
    """A copy in which one constant is another."""
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    (held,) = (item for item in copy.graph.initializer if item.name == name)
    held.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(held).copy()), name))
    return copy


def one_other(value: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    def change(array: NDArray[Any]) -> NDArray[Any]:
        array.flat[len(array.flat) // 2] += value
        return array

    return change


@pytest.mark.parametrize("trained", ["xgboost"], indirect=True)
@pytest.mark.parametrize(
    ("variant", "constant", "change"),
    [
        ("int8", "forest_high", one_other(2)),
        ("int8", "forest_low", lambda low: low[::-1]),
        ("int8", "forest_asks_2", one_other(1)),
        ("int8", "forest_step", lambda step: step * np.float32(1.01)),
        ("int8", "forest_base", lambda base: base + np.float32(0.001)),
        ("int8", "forest_thresholds", lambda table: np.nextafter(table, np.float32(np.inf))),
        ("int8", "unknown", np.nan_to_num),
        ("gpu", "forest_leaves", one_other(1)),
        ("gpu", "forest_leaves", lambda leaves: leaves * np.float32(1.0005)),
        ("gpu", "forest_table_1", one_other(1)),
    ],
)
def test_a_changed_constant_is_found(
    trained: ModelFolder,
    graphs: Mapping[str, onnx.ModelProto],
    variant: str,
    constant: str,
    change: Callable[[NDArray[Any]], NDArray[Any]],
) -> None:
    table = refused(trained, variant, changed(graphs[variant], constant, change))
    assert "rows: probabilities differ by" in table


@pytest.mark.parametrize("trained", ["xgboost"], indirect=True)
def test_a_graph_that_cannot_be_run_is_refused(
    trained: ModelFolder, graphs: Mapping[str, onnx.ModelProto]
) -> None:
    one_leaf_more = changed(graphs["int8"], "forest_begins", lambda bits: bits | 0xFF)
    assert "cannot be run: " in refused(trained, "int8", one_leaf_more)


@pytest.mark.parametrize("trained", ["xgboost"], indirect=True)
def test_swapped_labels_are_found(
    trained: ModelFolder, graphs: Mapping[str, onnx.ModelProto]
) -> None:
    swapped = changed(graphs["fp32"], "second", lambda place: place - 1)
    table = refused(trained, "fp32", swapped)
    assert "F1 is " in table
    assert "it may fall by at most 0.0%" in table


@pytest.mark.parametrize("trained", ["xgboost"], indirect=True)
def test_labels_that_turn_on_the_threshold_are_counted(trained: ModelFolder) -> None:
    """By a rounding, but of more than one row in 2,000: too many for users."""
    native, x = trained.native(), trained.holdout().x
    expected = native.probabilities(x)
    below = expected - graph_probabilities(build("int8", native, trained.about), x)
    row = int(below.argmax())
    assert below[row] > 0.0
    about = replace(trained.about, threshold=float(expected[row]))
    (found,) = examine(
        replace(trained, about=about), {"int8": build("int8", native, about)}
    ).variants
    hold_out = found.verification.comparisons[0]
    assert hold_out.largest_difference <= hold_out.tolerance
    assert hold_out.labels_differ == 0
    assert hold_out.labels_equal < 0.9995
    assert any("of the labels are equal" in failure for failure in found.failures)


@pytest.mark.parametrize("trained", ["xgboost"], indirect=True)
@pytest.mark.parametrize(
    ("attribute", "kind"),
    [
        ("class_weights", "hold-out"),
        ("nodes_values", "on or next to a split point"),
        ("nodes_missing_value_tracks_true", "with features missing"),
    ],
)
def test_a_changed_tree_of_the_reference_is_found(
    trained: ModelFolder, graphs: Mapping[str, onnx.ModelProto], attribute: str, kind: str
) -> None:
    def change(item: onnx.AttributeProto) -> None:
        match attribute:
            case "class_weights":
                item.floats[3] += 0.01
            case "nodes_values":  # by one step of a float32
                item.floats[0] = float(np.nextafter(np.float32(item.floats[0]), np.float32(np.inf)))
            case _:
                item.ints[:] = [1 - flag for flag in item.ints]

    table = refused(trained, "fp32", tampered(graphs["fp32"], attribute, change))
    assert f"on {kind!r} rows: probabilities differ" in table


def add_unused_integers(graph: onnx.ModelProto) -> None:
    unused = numpy_helper.from_array(np.zeros(10_000, dtype=np.int8), "unused")
    graph.graph.initializer.append(unused)


@pytest.mark.parametrize("trained", ["xgboost"], indirect=True)
@pytest.mark.parametrize(
    ("real", "claimed", "messages"),
    [
        (
            "gpu",
            "int8",
            ("fewer int8 constants", "no uint16 table", "float32 numbers that are not thresholds"),
        ),
        ("fp32", "gpu", ("it has a tree operator",)),
        ("gpu", "fp32", ("it has no tree operator",)),
        ("int8", "gpu", ("put on the CPU: If, Scan, Shape",)),
    ],
)
def test_a_graph_that_claims_to_be_another_variant_is_refused(
    trained: ModelFolder,
    graphs: Mapping[str, onnx.ModelProto],
    real: str,
    claimed: str,
    messages: tuple[str, ...],
) -> None:
    impostor = onnx.ModelProto()
    impostor.CopyFrom(graphs[real])
    describe(impostor, "tezi.variant", claimed)
    add_unused_integers(impostor)  # constants that nothing reads do not count
    table = refused(trained, claimed, impostor)
    for message in messages:
        assert message in table


def describe(graph: onnx.ModelProto, key: str, value: str) -> None:
    """Have a graph say something else of itself."""
    (item,) = (item for item in graph.metadata_props if item.key == key)
    item.value = value


@pytest.mark.parametrize("trained", ["xgboost"], indirect=True)
def test_what_a_graph_says_of_itself_must_be_true(
    trained: ModelFolder, graphs: Mapping[str, onnx.ModelProto]
) -> None:
    liar = onnx.ModelProto()
    liar.CopyFrom(graphs["fp32"])
    features = list(trained.about.features)
    describe(liar, "tezi.features", json.dumps([features[1], features[0], *features[2:]]))
    describe(liar, "tezi.threshold", "0.5")
    liar.opset_import[0].version = 22
    liar.ir_version = 11
    liar.graph.output[0].name, liar.graph.output[1].name = "probability", "version"
    liar.graph.node.append(helper.make_node("Identity", ["model_version"], ["version"]))
    table = refused(trained, "fp32", liar)
    for said in (
        "its metadata has tezi.features = ",
        "its metadata has tezi.threshold = '0.5'",
        "cannot read its operators: ai.onnx 22",
        "cannot read its format 11",
        "not probability and model_version",
    ):
        assert said in table


@pytest.mark.parametrize("trained", ["xgboost"], indirect=True)
def test_what_is_left_out_stands_in_the_proof(
    trained: ModelFolder, graphs: Mapping[str, onnx.ModelProto]
) -> None:
    proof = examine(trained, {"fp32": graphs["fp32"]}, left_out={"int8": "Too deep."})
    assert proof.passed
    assert "int8: left out. Too deep." in proof.table()
    assert proof.document()["left_out"] == {"int8": "Too deep."}


def test_f1() -> None:
    y, predicted = np.array([1, 1, 0, 0], dtype=np.int8), np.array([True, False, True, False])
    assert f1(y, predicted) == 0.5
    assert f1(y, y == 1) == 1.0
    assert f1(y, np.zeros(4, dtype=np.bool_)) == 0.0
    assert f1(np.zeros(4, dtype=np.int8), np.zeros(4, dtype=np.bool_)) == 0.0
