"""The gate: only graphs shown to compute the same as the model are written and published."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import onnx
from numpy.typing import NDArray

from preprocess.errors import ModelError
from preprocess.features.manifest import FEATURE_NAMES, feature_hash
from preprocess.forest.leaves import int8_leaves_of
from preprocess.forest.trees import Forest
from preprocess.models.graph_content import Content, content_of
from preprocess.models.proof import Proof, VariantProof
from preprocess.models.serving_graph import IR_VERSION, ML_OPSET, OPSET, description
from preprocess.models.verification import (
    HOLDOUT,
    Known,
    Verification,
    compare,
    expected_outputs,
    run_graph,
)
from preprocess.training.card import ModelCard
from preprocess.training.folder import ModelFolder
from preprocess.training.native import NativeModel

# Of 10,000 held-out rows at most 5 may get another label, and F1 may fall by a thousandth.
LEAST_EQUAL = 0.9995
MOST_F1_LOSS = {"fp32": 0.0, "int8": 0.001, "gpu": 0.0}

# Operators that compute with shapes or branch on a value.
_NOT_ON_A_GPU = {"Shape", "Size", "If", "Loop", "Scan", "NonZero", "Compress"}

# The steepest slope of the logistic function: converts a margin's error to a probability's.
_SLOPE = 0.25


def examine(
    folder: ModelFolder,
    graphs: Mapping[str, onnx.ModelProto],
    *,
    left_out: Mapping[str, str] = MappingProxyType({}),
) -> Proof:
    """Compare the graphs, by variant, with the trained model, and inspect their content.

    `left_out` names the variants without a graph, with the reason; the proof lists them too.

    Raises:
        ModelError: the model's files are damaged.
    """
    native, holdout = folder.native(), folder.holdout()
    known = expected_outputs(native, holdout.x)
    expected = _Expected(folder.about, native, native.forest(), known, holdout.y)
    return Proof(
        model_id=folder.about.model_id,
        threshold=folder.about.threshold,
        real_rows=len(holdout.y),
        variants=tuple(_examined(variant, graph, expected) for variant, graph in graphs.items()),
        left_out=dict(left_out),
    )


def require_passed(proof: Proof) -> Proof:
    """Return a proof that passed.

    Raises:
        ModelError: a graph failed; the message is a table of the failures.
    """
    if proof.passed:
        return proof
    failed = ", ".join(variant.variant for variant in proof.variants if not variant.passed)
    raise ModelError(
        f"The graphs of {proof.model_id} are not written, because {failed} failed:\n{proof.table()}"
    )


def tolerance(variant: str, native: NativeModel, forest: Forest) -> float:
    """The most by which rounding may move a variant's probability away from the model's.

    FP32 adds up the leaves as its library does. The others use another order: two float32 sums of
    T trees drift apart with the square root of T. INT8 also rounds its leaves.
    """
    if variant == "fp32":
        return native.tolerance
    reordered = 1e-6 * max(1.0, math.sqrt(forest.trees / 100))
    if variant == "gpu":
        return reordered
    return reordered + _SLOPE * int8_leaves_of(forest).error


@dataclass(frozen=True, slots=True)
class _Expected:
    about: ModelCard
    native: NativeModel
    forest: Forest
    known: tuple[Known, ...]
    y: NDArray[np.int8]


def _examined(variant: str, graph: onnx.ModelProto, expected: _Expected) -> VariantProof:
    about, known, forest = expected.about, expected.known, expected.forest
    failures: list[str] = []
    held_out = [item.rows for item in known].index(HOLDOUT)
    model_f1 = graph_f1 = f1(expected.y, known[held_out].expected >= about.threshold)
    verification = Verification(())
    try:
        outputs = run_graph(graph, known)
    except ModelError as error:
        failures.append(str(error))
    else:
        verification = compare(
            known,
            outputs,
            threshold=about.threshold,
            tolerance=tolerance(variant, expected.native, forest),
            least_equal=LEAST_EQUAL,
        )
        graph_f1 = f1(expected.y, outputs[held_out] >= about.threshold)
    failures += [
        f"on {item.rows!r} rows: probabilities differ by {item.largest_difference:.2e}, allowed "
        f"are {item.tolerance:.1e}; {item.labels_differ} labels differ, {item.labels_equal:.3%} of "
        "the labels are equal"
        for item in verification.comparisons
        if not item.passed
    ]
    if graph_f1 < model_f1 * (1.0 - MOST_F1_LOSS[variant]):
        failures.append(
            f"F1 is {graph_f1:.4f} and the model's {model_f1:.4f}; it may fall by at most "
            f"{MOST_F1_LOSS[variant]:.1%}"
        )
    content = content_of(graph)
    failures += _description_failures(variant, graph, about)
    failures += _content_failures(variant, content, forest)
    return VariantProof(
        variant=variant,
        verification=verification,
        f1=graph_f1,
        model_f1=model_f1,
        content=content,
        size=graph.ByteSize(),
        failures=tuple(failures),
    )


def f1(y: NDArray[np.int8], predicted: NDArray[np.bool_]) -> float:
    """The harmonic mean of precision and recall; 0 without any true positive."""
    hits = int((predicted & (y == 1)).sum())
    return 2.0 * hits / max(1, int(predicted.sum()) + int((y == 1).sum()))


def _description_failures(variant: str, graph: onnx.ModelProto, about: ModelCard) -> Iterator[str]:
    found = {item.key: item.value for item in graph.metadata_props}
    manifest = {
        "tezi.features": json.dumps(FEATURE_NAMES),
        "tezi.feature_hash": feature_hash(),
    }
    for key, value in (description(about, variant) | manifest).items():
        if found.get(key) != value:
            yield f"its metadata has {key} = {found.get(key)!r}, not {value!r}"
    inputs = [(item.name, _shape(item)) for item in graph.graph.input]
    if inputs != [("features", ["N", len(FEATURE_NAMES)])]:
        yield f"its inputs are {inputs}, not the features of the manifest"
    outputs = [(item.name, _shape(item)) for item in graph.graph.output]
    if outputs != [("probability", ["N", 1]), ("model_version", ["N", 1])]:
        yield f"its outputs are {outputs}, not probability and model_version"


def _shape(value: onnx.ValueInfoProto) -> list[str | int]:
    return [item.dim_param or item.dim_value for item in value.type.tensor_type.shape.dim]


def _content_failures(variant: str, content: Content, forest: Forest) -> Iterator[str]:
    newest = {"ai.onnx": OPSET, "ai.onnx.ml": ML_OPSET}
    for domain, version in content.opsets.items():
        if version > newest.get(domain, 0):
            yield f"ONNX Runtime 1.19 cannot read its operators: {domain} {version}"
    if content.ir_version > IR_VERSION:
        yield f"ONNX Runtime 1.19 cannot read its format {content.ir_version}"
    has_tree = any(name.startswith("TreeEnsemble") for name in content.operators)
    if has_tree != (variant == "fp32"):
        yield "it has a tree operator" if has_tree else "it has no tree operator, but FP32 must"
    if variant == "gpu":
        on_cpu = sorted(_NOT_ON_A_GPU & content.operators.keys())
        if on_cpu:
            yield f"it has operators that runtimes put on the CPU: {', '.join(on_cpu)}"
    if variant != "int8":
        return
    leaves = int(forest.is_leaf.sum())
    for kind in ("int8", "uint8"):
        if content.tensor_types.get(kind, 0) < leaves:
            yield f"it has fewer {kind} constants than the model has leaves ({leaves:,})"
    if not content.tensor_types.get("uint16", 0):
        yield "it has no uint16 table of comparisons"
    for constant in content.constants:
        is_table = constant.kind.startswith("float") and constant.elements > 1
        if is_table and not set(constant.read_by) <= {"GreaterOrEqual", "Unsqueeze"}:
            yield f"it has {constant.elements:,} {constant.kind} numbers that are not thresholds"
