"""The live model repository, which Triton reads: made from the project's configs and the versions.

All of it can be made again, so a crash at any step does no harm: the next command or start makes it
match the version folders and the labels.
"""

import re
import shutil
from collections.abc import Sequence
from os import link
from pathlib import Path

from preprocess.files import atomic_write, staged_folder
from preprocess.models.names import FEATURES, VARIANTS, classifier_name, ensemble_name
from preprocess.repository.configs import (
    CONFIG_FILE,
    stable_classifier,
    stable_ensemble,
    version_classifier,
    version_ensemble,
)
from preprocess.repository.labels import Labels
from preprocess.repository.versions import ModelVersion, graph_file, version_folder
from preprocess.resources import resource
from preprocess.settings import Settings

SOURCE = resource("model_repository")
GRAPH_FILE = "model.onnx"

# Models of one version; the group is its number.
VERSION_MODEL = re.compile(r"(?:classifier|predict)_[a-z0-9]+_v([0-9]+)")


def refresh_live_repository(
    settings: Settings,
    versions: Sequence[ModelVersion],
    labels: Labels,
    *,
    source: Path = SOURCE,
) -> None:
    """Write the features model, every version and the stable names into the live repository."""
    live = settings.repository_dir
    _copy_features(live, source)
    known = {version.model_version for version in versions}
    for version in versions:
        for variant in version.variants:
            _write_classifier(settings, version, variant, source)
            number = version.model_version
            config = version_ensemble(source, variant, number)
            _write_ensemble(live / ensemble_name(variant, number), config)
    stable = next((v for v in versions if v.model_version == labels.stable), None)
    for variant in VARIANTS:
        names = (classifier_name(variant), ensemble_name(variant))
        if stable is None or variant not in stable.variants:
            for name in names:
                shutil.rmtree(live / name, ignore_errors=True)
            continue
        number = stable.model_version
        _write_ensemble(live / names[0], stable_classifier(source, variant, number))
        _write_ensemble(live / names[1], stable_ensemble(source, variant, number))
    for folder in live.iterdir():
        match = VERSION_MODEL.fullmatch(folder.name)
        if match and int(match[1]) not in known:
            shutil.rmtree(folder, ignore_errors=True)


def _copy_features(live: Path, source: Path) -> None:
    for path in sorted((source / FEATURES).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            atomic_write(live / path.relative_to(source), path.read_bytes())


def _write_classifier(
    settings: Settings, version: ModelVersion, variant: str, source: Path
) -> None:
    number = version.model_version
    folder = settings.repository_dir / classifier_name(variant, number)
    config = version_classifier(source, variant, number).encode()
    if folder.is_dir():
        atomic_write(folder / CONFIG_FILE, config)
        return
    graph = version_folder(settings.versions_dir, number) / graph_file(variant)
    with staged_folder(folder, staging=settings.home / "staging") as staged:
        (staged / CONFIG_FILE).write_bytes(config)
        (staged / str(number)).mkdir()
        _link_or_copy(graph, staged / str(number) / GRAPH_FILE)


def _link_or_copy(source: Path, target: Path) -> None:
    """A hard link, or a copy where the file system has no links."""
    try:
        link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _write_ensemble(folder: Path, config: str) -> None:
    atomic_write(folder / CONFIG_FILE, config.encode())
    # Triton requires a version folder in every ensemble, an empty one.
    (folder / "1").mkdir(exist_ok=True)
