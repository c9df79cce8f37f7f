"""The live model repository: what Triton reads, made from the project's own and the versions.

It holds nothing that cannot be made again, so a crash at any step costs nothing: the next command
or start brings it to what the version folders and the labels say.
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

_OF_A_VERSION = re.compile(r"(?:classifier|predict)_[a-z0-9]+_v([0-9]+)")


def refresh_live_repository(
    settings: Settings,
    versions: Sequence[ModelVersion],
    labels: Labels,
    *,
    source: Path = SOURCE,
) -> None:
    """Make the live repository hold the features model, every version, and the stable names."""
    live = settings.repository_dir
    _copy_features(live, source)
    known = {version.model_version for version in versions}
    for version in versions:
        for variant in version.variants:
            _put_classifier(settings, version, variant, source)
            number = version.model_version
            config = version_ensemble(source, variant, number)
            _put_ensemble(live / ensemble_name(variant, number), config)
    stable = next((v for v in versions if v.model_version == labels.stable), None)
    for variant in VARIANTS:
        names = (classifier_name(variant), ensemble_name(variant))
        if stable is None or variant not in stable.variants:
            for name in names:
                shutil.rmtree(live / name, ignore_errors=True)
            continue
        number = stable.model_version
        _put_ensemble(live / names[0], stable_classifier(source, variant, number))
        _put_ensemble(live / names[1], stable_ensemble(source, variant, number))
    for folder in live.iterdir():
        match = _OF_A_VERSION.fullmatch(folder.name)
        if match and int(match[1]) not in known:
            shutil.rmtree(folder, ignore_errors=True)


def _copy_features(live: Path, source: Path) -> None:
    for path in sorted((source / FEATURES).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            atomic_write(live / path.relative_to(source), path.read_bytes())


def _put_classifier(settings: Settings, version: ModelVersion, variant: str, source: Path) -> None:
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
        _same_file(graph, staged / str(number) / GRAPH_FILE)


def _same_file(source: Path, target: Path) -> None:
    """A second name for a file; a copy where the file system gives none."""
    try:
        link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _put_ensemble(folder: Path, config: str) -> None:
    atomic_write(folder / CONFIG_FILE, config.encode())
    # Triton asks every ensemble for a version folder, an empty one.
    (folder / "1").mkdir(exist_ok=True)
