"""A trained model becomes the next version in the live model repository."""

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from preprocess.errors import ModelError, PublishError
from preprocess.features.manifest import feature_hash, require_manifest
from preprocess.features.vector import feature_row
from preprocess.golden import GOLDEN_CODE, GOLDEN_DATE, golden_history
from preprocess.models.stamp import stamp_version
from preprocess.repository.files import staged_folder
from preprocess.repository.live import refresh_live_repository
from preprocess.repository.versions import (
    GRAPH_FILE,
    METADATA_FILE,
    ModelVersion,
    classifier_name,
    version_numbers,
)
from preprocess.settings import Settings


@dataclass(frozen=True, slots=True)
class Candidate:
    """What publishing needs of a trained model: its card and one exported graph."""

    card: dict[str, Any]
    graph: Path
    variant: str = "fp32"


def publish(settings: Settings, candidate: Candidate, *, now: datetime) -> ModelVersion:
    """Write the next version folder: staged, synced, renamed. Nothing is loaded yet.

    Raises:
        ModelError: the model does not take the features of the manifest.
        PublishError: the graph is absent or does not load; the repository is as it was.
    """
    require_manifest(candidate.card["features"], owner=f"Model {candidate.card['model_id']}")
    refresh_live_repository(settings.repository_dir)
    with _only_publisher(settings.home):
        number = max(version_numbers(settings.repository_dir, candidate.variant), default=0) + 1
        folder = settings.repository_dir / classifier_name(candidate.variant) / str(number)
        graph = _stamped(candidate, number)
        metadata = _metadata(candidate, number, graph, now)
        version = ModelVersion.from_json(metadata)
        with staged_folder(folder, staging=settings.home / "staging") as staged:
            (staged / GRAPH_FILE).write_bytes(graph)
            text = json.dumps(metadata, indent=2, allow_nan=False) + "\n"
            (staged / METADATA_FILE).write_text(text, encoding="utf-8")
    return version


def withdraw(settings: Settings, version: ModelVersion) -> Path:
    """Take a version that a server refused out of the repository, and keep it to look at."""
    name = classifier_name(version.variant)
    refused = settings.home / "refused" / f"{name}-{version.model_version}"
    for suffix in range(1, 1000):
        if not refused.exists():
            break
        refused = refused.with_name(f"{name}-{version.model_version}.{suffix}")
    refused.parent.mkdir(parents=True, exist_ok=True)
    return (settings.repository_dir / name / str(version.model_version)).rename(refused)


@contextmanager
def _only_publisher(home: Path) -> Iterator[None]:
    """Two publishers would choose the same number; the second one is told so."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "publish.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PublishError("Another `tezi publish` is at work; run this one again.") from None
        yield


def _stamped(candidate: Candidate, number: int) -> bytes:
    if not candidate.graph.is_file():
        raise PublishError(f"There is no graph at {candidate.graph}: run `tezi export` first.")
    try:
        graph = onnx.load(str(candidate.graph))
        onnx.checker.check_model(graph)
        return stamp_version(graph, number).SerializeToString()
    except (ModelError, onnx.checker.ValidationError, ValueError, OSError) as error:
        raise PublishError(f"{candidate.graph} is no graph that can be served: {error}") from error
    except Exception as error:
        # protobuf's DecodeError has no stable public home
        if type(error).__name__ != "DecodeError":
            raise
        raise PublishError(
            f"{candidate.graph} is damaged: run `tezi export` again. ({error})"
        ) from error


def _metadata(candidate: Candidate, number: int, graph: bytes, now: datetime) -> dict[str, Any]:
    card = candidate.card
    row = feature_row(golden_history(), GOLDEN_DATE).values.astype(np.float32)
    probability = _golden_probability(candidate, graph, row, number)
    return {
        "model_version": number,
        "variant": candidate.variant,
        "model_id": card["model_id"],
        "family": card["family"],
        "trained_at": card["trained_at"],
        "published_at": now.isoformat(timespec="seconds"),
        "threshold": card["threshold"],
        "features": card["features"],
        "feature_hash": feature_hash(card["features"]),
        "label": card["label"],
        "sector_codes": card["sector_codes"],
        "metrics": card["metrics"]["test"],
        "hashes": {GRAPH_FILE: hashlib.sha256(graph).hexdigest()},
        "golden": {
            "bse_code": GOLDEN_CODE,
            "prediction_date": GOLDEN_DATE.isoformat(),
            "features": [None if np.isnan(value) else float(value) for value in row],
            "probability": probability,
        },
    }


def _golden_probability(
    candidate: Candidate, graph: bytes, row: np.ndarray[Any, np.dtype[np.float32]], number: int
) -> float:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    answer, version = session.run(["probability", "model_version"], {"features": row[None, :]})
    if answer.shape != (1, 1) or int(version[0, 0]) != number or not 0 <= answer[0, 0] <= 1:
        raise PublishError(
            f"{candidate.graph} answers the golden row with {answer} of version {version}, not "
            f"with one probability of version {number}."
        )
    return float(answer[0, 0])
