"""The versions in a live model repository, by the metadata that lies beside each graph."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preprocess.errors import ModelError
from preprocess.features.manifest import require_manifest

METADATA_FILE = "metadata.json"
GRAPH_FILE = "model.onnx"


def classifier_name(variant: str) -> str:
    """Triton's name of the classifier of a variant."""
    return f"classifier_{variant}"


def ensemble_name(variant: str) -> str:
    """Triton's name of the ensemble of a variant, which clients call."""
    return f"predict_{variant}"


@dataclass(frozen=True, slots=True)
class Golden:
    """A fixed request and the answer that this version must give to it."""

    bse_code: str
    prediction_date: str
    features: tuple[float | None, ...]
    probability: float


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """What is known of one published version of one variant."""

    model_version: int
    variant: str
    model_id: str
    family: str
    trained_at: str
    published_at: str
    threshold: float
    features: tuple[str, ...]
    feature_hash: str
    metrics: dict[str, float]
    hashes: dict[str, str]
    golden: Golden

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "ModelVersion":
        """Read the metadata document.

        Raises:
            ModelError: a field is absent, or the feature list is not the manifest.
        """
        try:
            golden = document["golden"]
            version = cls(
                model_version=int(document["model_version"]),
                variant=str(document["variant"]),
                model_id=str(document["model_id"]),
                family=str(document["family"]),
                trained_at=str(document["trained_at"]),
                published_at=str(document["published_at"]),
                threshold=float(document["threshold"]),
                features=tuple(document["features"]),
                feature_hash=str(document["feature_hash"]),
                metrics=dict(document["metrics"]),
                hashes=dict(document["hashes"]),
                golden=Golden(
                    golden["bse_code"],
                    golden["prediction_date"],
                    tuple(golden["features"]),
                    float(golden["probability"]),
                ),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"The metadata of a model version is incomplete: {error!r}") from error
        require_manifest(version.features, owner=f"Version {version.model_version}")
        return version


def read_version(folder: Path) -> ModelVersion:
    """The metadata of one version folder, `<repository>/classifier_<variant>/<number>`.

    Raises:
        ModelError: there is none, it is damaged, or its feature list is not the manifest.
    """
    path = folder / METADATA_FILE
    try:
        return ModelVersion.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}. Publish the version again.") from error


def version_numbers(repository: Path, variant: str = "fp32") -> list[int]:
    """Numbers of the versions that lie in a repository, ascending."""
    folder = repository / classifier_name(variant)
    if not folder.is_dir():
        return []
    return sorted(
        int(entry.name)
        for entry in folder.iterdir()
        if entry.name.isdecimal() and (entry / GRAPH_FILE).is_file()
    )


def read_versions(repository: Path, variant: str = "fp32") -> list[ModelVersion]:
    """The metadata of every version of a variant, ascending by number.

    Raises:
        ModelError: one of them cannot be read.
    """
    folder = repository / classifier_name(variant)
    return [read_version(folder / str(number)) for number in version_numbers(repository, variant)]
