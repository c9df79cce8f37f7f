"""A trained model becomes the next version: a folder that is there whole or not at all."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from preprocess.errors import ModelError, PublishError
from preprocess.features.batch import golden_rows
from preprocess.features.manifest import feature_hash, require_manifest
from preprocess.files import staged_folder
from preprocess.market.golden_row import GOLDEN_CODE, GOLDEN_DATE
from preprocess.models.names import DEFAULT_VARIANT, Variant
from preprocess.models.stamp import stamp_version
from preprocess.repository.labels import read_labels, write_labels
from preprocess.repository.versions import (
    PROOF_FILE,
    VERSION_FILE,
    Golden,
    Graph,
    ModelVersion,
    graph_file,
    version_folder,
    version_numbers,
)
from preprocess.settings import Settings

Row = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What publishing needs of a trained model: its card, its graphs, and the proof of them."""

    card: Mapping[str, Any]
    graphs: Mapping[Variant, Path]
    proof: bytes


def write_version(settings: Settings, candidate: Candidate, *, now: datetime) -> ModelVersion:
    """Write the next version folder: staged, synced, renamed. Nothing is loaded by this.

    The caller holds the lock of preprocess.repository.lock. A number is given out once: one that
    was refused or dropped does not come again.

    Raises:
        ModelError: the model does not take the features of the manifest.
        PublishError: a graph is absent or does not load; everything is as it was.
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
    with staged_folder(folder, staging=settings.home / "staging") as staged:
        for variant, graph in graphs.items():
            (staged / graph_file(variant)).write_bytes(graph)
        (staged / PROOF_FILE).write_bytes(candidate.proof)
        (staged / VERSION_FILE).write_bytes(version.to_json())
    write_labels(settings.versions_dir, before, before.published(number), now=now)
    return version


def withdraw(settings: Settings, version: ModelVersion) -> Path:
    """Take a version that a server refused away, and keep it to look at; its new folder."""
    number = str(version.model_version)
    refused = settings.home / "refused" / number
    refused.parent.mkdir(parents=True, exist_ok=True)
    return version_folder(settings.versions_dir, version.model_version).rename(refused)


def _stamped(path: Path, card: Mapping[str, Any], number: int) -> bytes:
    if not path.is_file():
        raise PublishError(f"There is no graph at {path}: run `tezi export` first.")
    try:
        graph = onnx.load(str(path))
        onnx.checker.check_model(graph)
        _require_features(graph, path, card)
        return stamp_version(graph, number).SerializeToString()
    except (ModelError, onnx.checker.ValidationError, ValueError, OSError) as error:
        raise PublishError(f"{path} is no graph that can be served: {error}") from error
    except Exception as error:
        # protobuf's DecodeError has no stable public home
        if type(error).__name__ != "DecodeError":
            raise
        raise PublishError(f"{path} is damaged: run `tezi export` again. ({error})") from error


def _require_features(graph: onnx.ModelProto, path: Path, card: Mapping[str, Any]) -> None:
    said = {entry.key: entry.value for entry in graph.metadata_props}
    expected = feature_hash(card["features"])
    found = said.get("tezi.feature_hash")
    if found != expected:
        raise ModelError(
            f"{path} was made for other features (their hash is {found}, not {expected}): run "
            "`tezi export` again"
        )


def _golden_probability(path: Path, graph: bytes, row: Row, number: int) -> float:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    answer, version = session.run(["probability", "model_version"], {"features": row[None, :]})
    if answer.shape != (1, 1) or int(version[0, 0]) != number or not 0 <= answer[0, 0] <= 1:
        raise PublishError(
            f"{path} answers the golden row with {answer} of version {version}, not with one "
            f"probability of version {number}."
        )
    return float(answer[0, 0])
