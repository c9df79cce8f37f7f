"""The forests that are measured, trained as by `tezi train`, kept in bench/ of the data folder.

A forest is trained anew when its samples, its parameters or a library change, and converted anew
when the product's converters do.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

import lightgbm
import onnx
import xgboost

from preprocess.errors import ModelError
from preprocess.files import atomic_write
from preprocess.models.folder import MODEL_FILES, PICKLE_FILE, ModelFolder, newest_model
from preprocess.models.variants import build
from preprocess.repository.names import Variant
from preprocess.settings import PROJECT_ROOT
from preprocess.training.card import Origin
from preprocess.training.dataset import Dataset
from preprocess.training.learner import Parameters
from preprocess.training.run import train_on
from tests.performance.market import CIRCUIT_PCT

# The pickle that was asked for at the start has so many bytes.
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
        origin = Origin(market="demo", circuit_pct=CIRCUIT_PCT, sector_codes={})
        model = train_on(dataset, folder, parameters, origin=origin, now=datetime.now(UTC))
    return Forest(model, parameters.trees, _graphs(model))


def _graphs(model: ModelFolder) -> dict[Variant, Path]:
    paths: dict[Variant, Path] = {
        variant: model.path / f"bench_{variant}.onnx" for variant in MEASURED
    }
    record = model.path / "bench_graphs.json"
    wanted = _converters()
    made = json.loads(record.read_bytes()) if record.is_file() else None
    if made != wanted:
        native = model.native()
        for variant, path in paths.items():
            graph = build(variant, native, model.about)
            atomic_write(path, graph.SerializeToString(deterministic=True))
        atomic_write(record, json.dumps(wanted).encode())
    return paths


def _converters() -> dict[str, str]:
    """What graphs are made by: the converters' sources, and onnx."""
    sources = hashlib.sha256()
    folders = (PROJECT_ROOT / "preprocess" / name for name in ("models", "forest"))
    for source in sorted(path for folder in folders for path in folder.glob("*.py")):
        sources.update(source.read_bytes())
    return {
        "sources": sources.hexdigest(),
        "onnx": onnx.__version__,
    }
