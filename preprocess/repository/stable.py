"""The stable version."""

from pathlib import Path

from preprocess.repository.labels import read_labels
from preprocess.repository.versions import ModelVersion, nothing_published, read_version


def stable_version(versions_dir: Path) -> ModelVersion:
    """The description of the stable version.

    Raises:
        ModelError: none is stable, or its description is damaged.
    """
    labels = read_labels(versions_dir)
    if labels.stable is None:
        raise nothing_published(versions_dir)
    return read_version(versions_dir, labels.stable)
