"""The published versions: `<versions folder>/<number>/`, whole or not there at all.

A version folder holds one graph a variant and `version.json`, which says what is known of them.
What Triton reads is made from these folders: see preprocess.repository.live.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from preprocess.errors import ModelError
from preprocess.features.manifest import require_manifest
from preprocess.models.names import Variant

VERSION_FILE = "version.json"
PROOF_FILE = "proof.json"


def graph_file(variant: str) -> str:
    """Name of a variant's graph in a version folder."""
    return f"{variant}.onnx"


@dataclass(frozen=True, slots=True)
class Golden:
    """A fixed request and the features that every variant must answer it with."""

    bse_code: str
    prediction_date: str
    features: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """One variant of a version: its file, and its probability for the golden row."""

    sha256: str
    size_bytes: int
    golden_probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """What is known of one published version. `threshold` holds for all of its variants."""

    model_version: int
    model_id: str
    family: str
    trained_at: str
    published_at: str
    threshold: float
    features: tuple[str, ...]
    feature_hash: str
    label: dict[str, Any]
    sector_codes: dict[str, int]
    metrics: dict[str, float]
    golden: Golden
    variants: Mapping[Variant, Graph]

    def to_json(self) -> bytes:
        """The version as an indented JSON document."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def from_json(cls, document: bytes) -> "ModelVersion":
        """Read a document of `to_json`.

        Raises:
            ModelError: a field is absent or wrong, or the feature list is not the manifest.
        """
        try:
            version = msgspec.json.decode(document, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ModelError(f"The description of a model version is damaged: {error}") from error
        require_manifest(version.features, owner=f"Version {version.model_version}")
        return version


def version_folder(versions_dir: Path, number: int) -> Path:
    """Where a version lies, or would lie."""
    return versions_dir / str(number)


def version_numbers(versions_dir: Path) -> list[int]:
    """Numbers of the published versions, ascending."""
    if not versions_dir.is_dir():
        return []
    return sorted(
        int(entry.name)
        for entry in versions_dir.iterdir()
        if entry.name.isdecimal() and (entry / VERSION_FILE).is_file()
    )


def read_version(versions_dir: Path, number: int) -> ModelVersion:
    """What is known of one version.

    Raises:
        ModelError: there is no such version, it is damaged, or its feature list is not the
            manifest.
    """
    path = version_folder(versions_dir, number) / VERSION_FILE
    try:
        version = ModelVersion.from_json(path.read_bytes())
    except (OSError, ModelError) as error:
        raise ModelError(f"{path} cannot be read: {error}. Publish the model again.") from error
    if version.model_version != number:
        raise ModelError(f"{path} describes version {version.model_version}: it was moved.")
    return version


def read_versions(versions_dir: Path) -> list[ModelVersion]:
    """Every published version, ascending by number.

    Raises:
        ModelError: one of them cannot be read.
    """
    return [read_version(versions_dir, number) for number in version_numbers(versions_dir)]


def require_intact(versions_dir: Path, version: ModelVersion) -> None:
    """See that every graph is the file that was published.

    Raises:
        ModelError: one is absent or another.
    """
    folder = version_folder(versions_dir, version.model_version)
    for variant, graph in version.variants.items():
        path = folder / graph_file(variant)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error}") from error
        if found != graph.sha256:
            raise ModelError(
                f"{path} is not the graph that was published (its SHA-256 is {found}): put the "
                "original back, or publish the model again."
            )
