"""A tiny classifier graph with the outputs of a served one: sigmoid of the row's mean / 1000."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from preprocess.features.manifest import FEATURE_COUNT, FEATURE_NAMES, feature_hash
from preprocess.models.names import Variant
from preprocess.models.serving_graph import version_initializer
from preprocess.repository.publish import Candidate


def tiny_graph(*, width: int = FEATURE_COUNT, scale: float = 1e-3) -> onnx.ModelProto:
    """As `tezi export` writes one, without trees."""
    nodes = [
        helper.make_node("ReduceMean", ["features"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["mean", "scale"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["probability"]),
        helper.make_node("Shape", ["score"], ["shape"]),
        helper.make_node("Expand", ["tezi_model_version", "shape"], ["model_version"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", width])],
        [
            helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("model_version", TensorProto.INT64, ["n", 1]),
        ],
        [
            onnx.numpy_helper.from_array(np.array([scale], dtype=np.float32), "scale"),
            version_initializer(0),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    helper.set_model_props(model, {"tezi.feature_hash": feature_hash()})
    return model


def tiny_candidate(folder: Path, *variants: Variant, **changes: Any) -> Candidate:
    """A candidate of tiny graphs, which are written into `folder`; fp32 alone by default."""
    folder.mkdir(parents=True, exist_ok=True)
    graphs = {}
    for place, variant in enumerate(variants or ("fp32",)):
        graphs[variant] = folder / f"model_{variant}.onnx"
        onnx.save(tiny_graph(scale=(place + 1) * 1e-3), str(graphs[variant]))
    return Candidate(tiny_card(**changes), graphs, proof=b"{}\n")


def tiny_card(**changes: Any) -> dict[str, Any]:
    """What publishing reads of a model card."""
    return {
        "model_id": "20260101T000000-tiny-000000",
        "family": "xgboost",
        "trained_at": "2026-01-01T00:00:00+00:00",
        "threshold": 0.25,
        "features": list(FEATURE_NAMES),
        "feature_hash": feature_hash(),
        "label": {"name": "upper_circuit", "circuit_pct": None, "meaning": "at the limit"},
        "sector_codes": {"Steel": 0},
        "metrics": {"test": {"roc_auc": 0.6}},
        **changes,
    }
