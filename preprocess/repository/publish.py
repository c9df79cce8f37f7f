"""Makes a trained model the next version: a folder that appears complete or not at all."""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from preprocess.errors import ModelError, PublishError
from preprocess.features.batch import golden_rows
from preprocess.features.manifest import feature_hash, require_manifest
from preprocess.files import staged_folder
from preprocess.inference_optimizer import InferenceOptimizer
from preprocess.market.golden_row import GOLDEN_CODE, GOLDEN_DATE
from preprocess.models.names import DEFAULT_VARIANT, VARIANTS, Variant
from preprocess.models.serving_graph import stamp_version
from preprocess.models.session import open_session
from preprocess.models.variants import graph_file as exported_file
from preprocess.repository.labels import read_labels, write_labels
from preprocess.repository.versions import (
    PROOF_FILE,
    VERSION_FILE,
    Golden,
    Graph,
    ModelVersion,
    delete_version,
    graph_file,
    version_folder,
    version_numbers,
)
from preprocess.settings import Settings
from preprocess.training.folder import STAGING_FOLDER, ModelFolder

Row = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What publishing needs from a trained model: its card, its graphs, and their proof."""

    card: Mapping[str, Any]
    graphs: Mapping[Variant, Path]
    proof: bytes


def candidate_of(model: ModelFolder) -> Candidate:
    """The exported graphs of a model, verified once more.

    Raises:
        PublishError: nothing is exported, or a file is not a graph.
        ModelError: the gate refuses a graph, or the model's files are damaged.
    """
    paths = {variant: model.path / exported_file(variant) for variant in VARIANTS}
    graphs = {variant: path for variant, path in paths.items() if path.is_file()}
    if not graphs:
        raise PublishError(f"{model.path} contains no graph: run `tezi export` first.")
    loaded: dict[str, onnx.ModelProto] = {variant: _load(path) for variant, path in graphs.items()}
    proof = InferenceOptimizer(model).verify(loaded)
    return Candidate(card=model.card, graphs=graphs, proof=proof.to_json())


def _load(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(str(path))
    except Exception as error:
        # protobuf's DecodeError has no stable public import path
        if type(error).__name__ != "DecodeError":
            raise
        raise PublishError(f"{path} is damaged: run `tezi export` again. ({error})") from error


def write_version(settings: Settings, candidate: Candidate, *, now: datetime) -> ModelVersion:
    """Write the next version folder: staged, synced, renamed. Nothing is loaded by this.

    The caller holds the lock of preprocess.repository.lock. A number is used once: that of a
    refused or deleted version is not reused.

    Raises:
        ModelError: the model does not use the features of the manifest.
        PublishError: a graph is missing or does not load; nothing has changed.
    """
    card = candidate.card
    require_manifest(card["features"], owner=f"Model {card['model_id']}")
    if DEFAULT_VARIANT not in candidate.graphs:
        raise PublishError(f"A version needs the variant {DEFAULT_VARIANT}: run `tezi export`.")
    before = read_labels(settings.versions_dir)
    number = max([before.newest, *version_numbers(settings.versions_dir)]) + 1
    graphs = {variant: _stamped(path, card, number) for variant, path in candidate.graphs.items()}
    row = golden_rows().values[0].astype(np.float32)
    version = ModelVersion(
        model_version=number,
        model_id=card["model_id"],
        family=card["family"],
        trained_at=card["trained_at"],
        published_at=now.isoformat(timespec="seconds"),
        threshold=card["threshold"],
        features=tuple(card["features"]),
        feature_hash=feature_hash(card["features"]),
        label=card["label"],
        sector_codes=card["sector_codes"],
        metrics=card["metrics"]["test"],
        golden=Golden(
            GOLDEN_CODE,
            GOLDEN_DATE.isoformat(),
            tuple(None if np.isnan(value) else float(value) for value in row),
        ),
        variants={
            variant: Graph(
                sha256=hashlib.sha256(graph).hexdigest(),
                size_bytes=len(graph),
                golden_probability=_golden_probability(
                    candidate.graphs[variant], graph, row, number
                ),
            )
            for variant, graph in graphs.items()
        },
    )
    folder = version_folder(settings.versions_dir, number)
    # Beside the versions: they may lie on a volume of their own.
    with staged_folder(folder, staging=settings.versions_dir / STAGING_FOLDER) as staged:
        for variant, graph in graphs.items():
            (staged / graph_file(variant)).write_bytes(graph)
        (staged / PROOF_FILE).write_bytes(candidate.proof)
        (staged / VERSION_FILE).write_bytes(version.to_json())
    try:
        write_labels(settings.versions_dir, before, before.published(number), now=now)
    except BaseException:
        delete_version(settings.versions_dir, number)
        raise
    return version


def withdraw(settings: Settings, version: ModelVersion) -> Path:
    """Move a version that Triton refused out of the way for inspection; returns its new folder."""
    number = str(version.model_version)
    refused = settings.home / "refused" / number
    refused.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(version_folder(settings.versions_dir, version.model_version), refused)
    return refused


def _stamped(path: Path, card: Mapping[str, Any], number: int) -> bytes:
    if not path.is_file():
        raise PublishError(f"There is no graph at {path}: run `tezi export` first.")
    try:
        graph = _load(path)
        onnx.checker.check_model(graph)
        _require_features(graph, card)
        return stamp_version(graph, number).SerializeToString()
    except (ModelError, onnx.checker.ValidationError, ValueError, OSError) as error:
        raise PublishError(f"{path} cannot be served: {error}") from error


def _require_features(graph: onnx.ModelProto, card: Mapping[str, Any]) -> None:
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    expected, found = feature_hash(card["features"]), metadata.get("tezi.feature_hash")
    if found != expected:
        raise ModelError(
            f"it was made for other features (their hash is {found}, not {expected}): run "
            "`tezi export` again"
        )


def _golden_probability(path: Path, graph: bytes, row: Row, number: int) -> float:
    session = open_session(graph)
    answer, version = session.run(["probability", "model_version"], {"features": row[None, :]})
    if answer.shape != (1, 1) or int(version[0, 0]) != number or not 0 <= answer[0, 0] <= 1:
        raise PublishError(
            f"{path} returns {answer} of version {version} for the golden row, not one probability "
            f"of version {number}."
        )
    return float(answer[0, 0])
