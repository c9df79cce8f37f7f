"""Smaller graphs from graphs: forests with leaves of two bytes, matrices with weights of one."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from preprocess.errors import ModelError
from preprocess.forest.compiler import compile_forest
from preprocess.forest.errors import ForestError
from preprocess.forest.plan import plan
from preprocess.forest.tree_ensemble import TREE_OPERATORS, forest_of_node
from preprocess.models.frame import OPSET

_MATRIX_OPERATORS = ("MatMul", "Gemm")


@dataclass(frozen=True, slots=True)
class Quantised:
    """What became of a graph: `forests` and `matrices` that were quantised; sizes in bytes."""

    graph: onnx.ModelProto
    forests: int
    matrices: int
    size_before: int
    size_after: int


def quantised(graph: onnx.ModelProto) -> Quantised:
    """Compile the forest of a graph to integers, or quantise the weights of its matrix products.

    The graph's inputs and outputs stay as they are. Forests: see forest.compiler. Matrices:
    onnxruntime.quantization, dynamic, weights int8.

    Raises:
        ModelError: there is neither a forest nor a matrix in it, or it cannot be quantised; the
            message says what the graph consists of.
    """
    trees = [node for node in graph.graph.node if node.op_type in TREE_OPERATORS]
    matrices = [node for node in graph.graph.node if node.op_type in _MATRIX_OPERATORS]
    if len(trees) == 1:
        made, counts = _compiled(graph, trees[0]), (1, 0)
    elif trees:
        raise ModelError(f"A graph with {len(trees)} forests cannot be quantised, only with one.")
    elif matrices:
        made = _with_int8_weights(graph)
        counts = (0, sum("Integer" in node.op_type for node in made.graph.node))
    else:
        made, counts = graph, (0, 0)
    if not any(counts):
        operators = ", ".join(sorted({node.op_type for node in graph.graph.node}))
        raise ModelError(
            "Nothing in the graph could be quantised: no forest, and no product with a constant "
            f"matrix. It consists of {operators}."
        )
    return Quantised(made, *counts, size_before=graph.ByteSize(), size_after=made.ByteSize())


def _compiled(graph: onnx.ModelProto, node: onnx.NodeProto) -> onnx.ModelProto:
    features = _width(graph, node.input[0])
    try:
        forest = forest_of_node(node, n_features=features)
        way = plan(forest)
        compiled = compile_forest(
            forest,
            leaves="int8",
            chunk_rows=way.chunk_rows,
            sweep_from=way.sweep_from,
            features=node.input[0],
        )
    except ForestError as error:
        raise ModelError(f"The forest of the graph cannot be quantised: {error}") from error
    made = onnx.ModelProto()
    made.CopyFrom(graph)
    place = list(graph.graph.node).index(node)
    after = _outputs_of(node, compiled.output)
    nodes = list(made.graph.node)
    del made.graph.node[:]
    made.graph.node.extend([*nodes[:place], *compiled.nodes, *after.nodes, *nodes[place + 1 :]])
    made.graph.initializer.extend([*compiled.constants, *after.constants])
    for item in made.metadata_props:
        if item.key == "tezi.variant":
            item.value = "int8"
    opsets = {item.domain: item.version for item in made.opset_import}
    newest = max(OPSET, opsets.get("", 0))
    others = {domain: version for domain, version in opsets.items() if domain != ""}
    if not any(item.domain == "ai.onnx.ml" for item in made.graph.node):
        others.pop("ai.onnx.ml", None)
    del made.opset_import[:]
    made.opset_import.append(helper.make_opsetid("", newest))
    made.opset_import.extend(helper.make_opsetid(*other) for other in others.items())
    onnx.checker.check_model(made)
    return made


def _width(graph: onnx.ModelProto, name: str) -> int:
    for value in graph.graph.input:
        if value.name == name:
            dimensions = value.type.tensor_type.shape.dim
            if len(dimensions) == 2 and dimensions[1].dim_value:
                return int(dimensions[1].dim_value)
    raise ModelError(f"The forest must read an input with a fixed number of features, not {name}.")


@dataclass(frozen=True, slots=True)
class _After:
    nodes: list[onnx.NodeProto]
    constants: list[onnx.TensorProto]


def _outputs_of(node: onnx.NodeProto, margin: str) -> _After:
    """What the tree operator gives besides its sum: a regressor none, a classifier of two much."""
    found = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    transform = found.get("post_transform", b"NONE").decode()
    if transform not in ("NONE", "LOGISTIC"):
        raise ModelError(f"A forest whose sum goes through {transform} cannot be quantised.")
    score = "Sigmoid" if transform == "LOGISTIC" else "Identity"
    if node.op_type == "TreeEnsembleRegressor":
        return _After([helper.make_node(score, [margin], [node.output[0]])], [])
    classes = found.get("classlabels_int64s", [])
    if transform != "LOGISTIC" or len(classes) != 2:
        raise ModelError("Only a classifier of two integer classes with LOGISTIC can be quantised.")
    label, scores = node.output
    nodes = [
        helper.make_node(score, [margin], ["int8_positive"]),
        helper.make_node("Sub", ["int8_one", "int8_positive"], ["int8_negative"]),
        helper.make_node("Concat", ["int8_negative", "int8_positive"], [scores], axis=1),
        helper.make_node("Greater", ["int8_positive", "int8_half"], ["int8_is_positive"]),
        helper.make_node("Cast", ["int8_is_positive"], ["int8_place"], to=TensorProto.INT64),
        helper.make_node("Squeeze", ["int8_place", "int8_axis"], ["int8_row_place"]),
        helper.make_node("Gather", ["int8_classes", "int8_row_place"], [label]),
    ]
    constants: dict[str, NDArray[Any]] = {
        "int8_one": np.array(1, dtype=np.float32),
        "int8_half": np.array(0.5, dtype=np.float32),
        "int8_axis": np.array([1], dtype=np.int64),
        "int8_classes": np.array(classes, dtype=np.int64),
    }
    return _After(
        nodes, [numpy_helper.from_array(value, name) for name, value in constants.items()]
    )


def _with_int8_weights(graph: onnx.ModelProto) -> onnx.ModelProto:
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415 - slow

    with TemporaryDirectory(prefix="tezi-quantise-") as folder:
        before, after = Path(folder, "before.onnx"), Path(folder, "after.onnx")
        onnx.save(graph, str(before))
        quantize_dynamic(before, after, weight_type=QuantType.QInt8)
        made: onnx.ModelProto = onnx.load(str(after))
    return made
