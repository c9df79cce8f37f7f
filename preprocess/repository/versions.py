"""The published versions: `<versions folder>/<number>/`, complete or absent.

A version folder contains one graph per variant and `version.json`, which describes them. Triton's
model repository is made from these folders: see preprocess.repository.live.
"""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from preprocess.errors import ModelError
from preprocess.features.manifest import require_manifest
from preprocess.models.names import Variant
from preprocess.repository.labels import Labels

VERSION_FILE = "version.json"
PROOF_FILE = "proof.json"

# A version that is being deleted; one found later was left by a killed process.
DROPPED = ".dropped-"

# Gateways read the labels several times a second; by then none uses the previous ones.
SETTLED_AFTER = timedelta(seconds=2)


def graph_file(variant: str) -> str:
    """Name of a variant's graph in a version folder."""
    return f"{variant}.onnx"


@dataclass(frozen=True, slots=True)
class Golden:
    """A fixed request and the features that every variant must return for it."""

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
    """The description of a published version. All of its variants share the `threshold`."""

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
            ModelError: a field is missing or wrong, or the feature list is not the manifest.
        """
        try:
            version = msgspec.json.decode(document, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ModelError(f"The description of a model version is damaged: {error}") from error
        require_manifest(version.features, owner=f"Version {version.model_version}")
        return version


def version_folder(versions_dir: Path, number: int) -> Path:
    """The folder of a version, whether it exists or not."""
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


def nothing_published(versions_dir: Path) -> ModelError:
    """The error where there is no version."""
    return ModelError(
        f"No model is published in {versions_dir}. Run `tezi demo` for a made-up market with its "
        "model, or `tezi train`, `tezi export` and `tezi publish`; TEZI_DATA_DIR names another "
        "folder."
    )


def require_published(versions_dir: Path) -> None:
    """Refuse to go on in a folder without versions: it may be mistyped, and stays as it is.

    Raises:
        ModelError: nothing was ever published there.
    """
    if not versions_dir.exists():
        raise nothing_published(versions_dir)


def read_version(versions_dir: Path, number: int) -> ModelVersion:
    """The description of one version.

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
    """Check that every graph is the file that was published.

    Raises:
        ModelError: one is missing or has changed.
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
                f"{path} is not the graph that was published (its SHA-256 is {found}): restore the "
                "original, or publish the model again."
            )


def out_of_use(
    versions: Sequence[ModelVersion], before: Labels, after: Labels, *, now: datetime
) -> list[ModelVersion]:
    """The versions that no gateway uses: neither the old nor the new labels name them.

    Empty while `before` is so recent that a gateway may still follow even older labels. The newest
    version stays, because it may get a label.
    """
    if before.changed_at is not None and now - before.changed_at < SETTLED_AFTER:
        return []
    kept = before.in_use | after.in_use | {version.model_version for version in versions[-1:]}
    return [version for version in versions if version.model_version not in kept]


def delete_version(versions_dir: Path, number: int) -> None:
    """Delete a version's folder. It is renamed first, so half a version is never visible."""
    folder = version_folder(versions_dir, number)
    doomed = folder.with_name(f"{DROPPED}{number}")
    shutil.rmtree(doomed, ignore_errors=True)
    folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)
