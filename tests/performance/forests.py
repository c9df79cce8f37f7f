"""The forests that are measured, trained as by `tezi train`, kept in bench/ of the data folder.

A forest is trained again when its samples, its parameters or a library change. It is converted in
each run.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

import lightgbm
import xgboost

from preprocess.errors import ModelError
from preprocess.files import atomic_write
from preprocess.models.names import Variant
from preprocess.models.variants import build
from preprocess.training.dataset import Dataset
from preprocess.training.describe import Origin
from preprocess.training.folder import MODEL_FILES, PICKLE_FILE, ModelFolder, newest_model
from preprocess.training.learner import Parameters
from preprocess.training.run import train_on
from tests.performance.market import CIRCUIT_PCT

# The size in bytes of the pickle in the original request.
BIG_PICKLE = 45e6

# What is measured here; the GPU's graph is measured by tests/gpu.
MEASURED: tuple[Variant, ...] = ("fp32", "int8")


@dataclass(frozen=True)
class Forest:
    """One trained model with its files: the pickle, the library's own, ONNX graphs by variant."""

    model: ModelFolder
    trees: int
    graphs: Mapping[Variant, Path]

    @property
    def pickle(self) -> Path:
        """The estimator as `pickle.dumps` writes it."""
        return self.model.path / PICKLE_FILE

    @property
    def native_file(self) -> Path:
        """The model in its library's format."""
        return self.model.path / MODEL_FILES[self.model.about.family]


def trees_of_big_pickle(forest: Forest) -> int:
    """How many trees like those of `forest` make a pickle of 45 MB."""
    return round(forest.trees * BIG_PICKLE / forest.pickle.stat().st_size)


def trained(home: Path, dataset: Dataset, parameters: Parameters) -> Forest:
    """The forest of these parameters; trained and converted if it is not there."""
    made_from = (dataset.sha256(), astuple(parameters), xgboost.__version__, lightgbm.__version__)
    key = hashlib.sha256(repr(made_from).encode()).hexdigest()[:12]
    folder = home / "bench" / "forests" / f"{parameters.family}-{parameters.trees}-{key}"
    try:
        model = newest_model(folder)
    except ModelError:
        origin = Origin(market="demo", target="up_5pct", circuit_pct=CIRCUIT_PCT, sector_codes={})
        model = train_on(dataset, folder, parameters, origin=origin, now=datetime.now(UTC))
    return Forest(model, parameters.trees, _graphs(model))


def _graphs(model: ModelFolder) -> dict[Variant, Path]:
    paths: dict[Variant, Path] = {
        variant: model.path / f"bench_{variant}.onnx" for variant in MEASURED
    }
    native = model.native()
    for variant, path in paths.items():
        graph = build(variant, native, model.about)
        atomic_write(path, graph.SerializeToString(deterministic=True))
    return paths
