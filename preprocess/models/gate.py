"""The gate: no graph is written, and so none published, that is not shown to be the model."""

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
from preprocess.forest.trees import Forest
from preprocess.models.content import Content, content_of
from preprocess.models.frame import IR_VERSION, ML_OPSET, OPSET
from preprocess.models.proof import Proof, VariantProof
from preprocess.models.verification import (
    HOLDOUT,
    Known,
    Verification,
    answers,
    compare,
    known_answers,
)
from preprocess.models.walk import int8_error
from preprocess.training.folder import ModelFolder
from preprocess.training.model_card import ModelCard
from preprocess.training.native import NativeModel

# Of 10,000 held-out rows at most 5 may have another label, and F1 may lose a thousandth of itself.
LEAST_EQUAL = 0.9995
MOST_F1_LOSS = {"fp32": 0.0, "int8": 0.001, "gpu": 0.0}

# Whatever computes with shapes, and what branches on a value.
_NOT_ON_A_GPU = {"Shape", "Size", "If", "Loop", "Scan", "NonZero", "Compress"}

# The steepest slope of the logistic function: what a margin is off by, a probability is by this.
_SLOPE = 0.25


def examine(
    folder: ModelFolder,
    graphs: Mapping[str, onnx.ModelProto],
    *,
    left_out: Mapping[str, str] = MappingProxyType({}),
) -> Proof:
    """Compare the graphs, by variant, with the trained model, and look into them.

    `left_out` are the variants that there is no graph of, with the reason; both stand in the proof.

    Raises:
        ModelError: the model's files are damaged.
    """
    native, holdout = folder.native(), folder.holdout()
    known = known_answers(native, holdout.x)
    wanted = _Wanted(folder.about, native, native.forest(), known, holdout.y)
    return Proof(
        model_id=folder.about.model_id,
        threshold=folder.about.threshold,
        real_rows=len(holdout.y),
        variants=tuple(_examined(variant, graph, wanted) for variant, graph in graphs.items()),
        left_out=dict(left_out),
    )


def require_passed(proof: Proof) -> Proof:
    """The proof itself.

    Raises:
        ModelError: a graph failed; the message is a table of what did.
    """
    if proof.passed:
        return proof
    failed = ", ".join(variant.variant for variant in proof.variants if not variant.passed)
    raise ModelError(
        f"The graphs of {proof.model_id} are not written, because {failed} failed:\n{proof.table()}"
    )


def tolerance(variant: str, native: NativeModel, forest: Forest) -> float:
    """How far rounding alone may take a variant's probability from the model's.

    FP32 adds the leaves up as its library does. The others add them up otherwise: float32 sums of
    T trees in two orders drift apart as the square root of T. INT8 rounds its leaves besides.
    """
    if variant == "fp32":
        return native.tolerance
    reordered = 1e-6 * max(1.0, math.sqrt(forest.trees / 100))
    if variant == "gpu":
        return reordered
    return reordered + _SLOPE * int8_error(forest)


@dataclass(frozen=True, slots=True)
class _Wanted:
    about: ModelCard
    native: NativeModel
    forest: Forest
    known: tuple[Known, ...]
    y: NDArray[np.int8]


def _examined(variant: str, graph: onnx.ModelProto, wanted: _Wanted) -> VariantProof:
    about, known, forest = wanted.about, wanted.known, wanted.forest
    failures: list[str] = []
    held_out = [item.rows for item in known].index(HOLDOUT)
    model_f1 = graph_f1 = f1(wanted.y, known[held_out].expected >= about.threshold)
    verification = Verification(())
    try:
        found = answers(graph, known)
    except ModelError as error:
        failures.append(str(error))
    else:
        verification = compare(
            known,
            found,
            threshold=about.threshold,
            tolerance=tolerance(variant, wanted.native, forest),
            least_equal=LEAST_EQUAL,
        )
        graph_f1 = f1(wanted.y, found[held_out] >= about.threshold)
    failures += [
        f"on rows of the kind {item.rows!r}: {item.largest_difference:.2e} apart where "
        f"{item.tolerance:.1e} is allowed, {item.labels_differ} other labels, "
        f"{item.labels_equal:.3%} of the labels equal"
        for item in verification.comparisons
        if not item.passed
    ]
    if graph_f1 < model_f1 * (1.0 - MOST_F1_LOSS[variant]):
        failures.append(
            f"F1 {graph_f1:.4f} where the model has {model_f1:.4f}; it may lose "
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
    """The harmonic mean of precision and recall; 0 where nothing is predicted rightly."""
    right = int((predicted & (y == 1)).sum())
    return 2.0 * right / max(1, int(predicted.sum()) + int((y == 1).sum()))


def _description_failures(variant: str, graph: onnx.ModelProto, about: ModelCard) -> Iterator[str]:
    found = {item.key: item.value for item in graph.metadata_props}
    features = found.get("tezi.features", "[]")
    wanted = {
        "variant": variant,
        "model_id": about.model_id,
        "family": about.family,
        "threshold": repr(about.threshold),
        "feature_hash": feature_hash(),
    }
    for key, value in wanted.items():
        said = found.get(f"tezi.{key}")
        if said != value:
            yield f"it says {key} {said!r} of itself, and not {value!r}"
    if json.loads(features) != list(FEATURE_NAMES):
        yield "its feature list is not the manifest"
    inputs = [(item.name, _shape(item)) for item in graph.graph.input]
    if inputs != [("features", ["N", len(FEATURE_NAMES)])]:
        yield f"it takes {inputs}, and not the features of the manifest"
    outputs = [(item.name, _shape(item)) for item in graph.graph.output]
    if outputs != [("probability", ["N", 1]), ("model_version", ["N", 1])]:
        yield f"it gives {outputs}, and not probability and model_version"


def _shape(value: onnx.ValueInfoProto) -> list[str | int]:
    return [item.dim_param or item.dim_value for item in value.type.tensor_type.shape.dim]


def _content_failures(variant: str, content: Content, forest: Forest) -> Iterator[str]:
    newest = {"ai.onnx": OPSET, "ai.onnx.ml": ML_OPSET}
    for domain, version in content.opsets.items():
        if version > newest.get(domain, 0):
            yield f"ONNX Runtime 1.19 does not read its operators: {domain} {version}"
    if content.ir_version > IR_VERSION:
        yield f"ONNX Runtime 1.19 does not read its format {content.ir_version}"
    has_tree = any(name.startswith("TreeEnsemble") for name in content.operators)
    if has_tree != (variant == "fp32"):
        yield "a tree operator" if has_tree else "no tree operator, which the reference has"
    if variant == "gpu":
        on_cpu = sorted(_NOT_ON_A_GPU & content.operators.keys())
        if on_cpu:
            yield f"operators that runtimes put on the CPU: {', '.join(on_cpu)}"
    if variant != "int8":
        return
    leaves = int(forest.is_leaf.sum())
    for kind in ("int8", "uint8"):
        if content.tensor_types.get(kind, 0) < leaves:
            yield f"fewer {kind} constants than the {leaves:,} leaves of the model"
    if not content.tensor_types.get("uint16", 0):
        yield "no uint16 table of what the nodes ask"
    for constant in content.constants:
        is_table = constant.kind.startswith("float") and constant.elements > 1
        if is_table and not set(constant.read_by) <= {"GreaterOrEqual", "Unsqueeze"}:
            yield f"{constant.elements:,} numbers in {constant.kind} that are no thresholds"
