"""The stable version."""

from pathlib import Path

from preprocess.errors import ModelError
from preprocess.repository.labels import read_labels
from preprocess.repository.versions import ModelVersion, read_version


def stable_version(versions_dir: Path) -> ModelVersion:
    """The description of the stable version.

    Raises:
        ModelError: none is stable, or its description is damaged.
    """
    labels = read_labels(versions_dir)
    if labels.stable is None:
        raise ModelError(
            f"No version is published in {versions_dir}: `tezi publish` publishes one."
        )
    return read_version(versions_dir, labels.stable)
