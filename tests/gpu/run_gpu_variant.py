"""Builds the GPU variant, shows that all of it runs on the GPU, and measures it against the CPU.

To be run on a machine with an NVIDIA GPU, from a checkout of this repository, without its
environment:

    python -m venv /tmp/gpu && . /tmp/gpu/bin/activate
    pip install "numpy<2" onnx "onnxruntime-gpu[cuda,cudnn]" xgboost msgspec
    python tests/gpu/run_gpu_variant.py --json gpu.json

It trains forests on made-up rows, or takes a folder that `tezi train` wrote (`--model`; for a
LightGBM model install lightgbm too). Each graph must have all of its nodes on CUDA and answer what
the trained model answers; then it is measured at 1 to 11,000 rows against ONNX Runtime's FP32 and
the training library, both on all cores, and against nvForest or FIL if they are installed.

Exit codes: 0 measured; 1 the graph is not whole on the GPU, or answers wrong; 2 wrong use; 3 there
is no GPU that ONNX Runtime can use. `--provider cpu` is a dry run of the parts without one.
"""

import argparse
import math
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from onnx import TensorProto, helper

from preprocess.features.manifest import FEATURE_NAMES, feature_hash
from preprocess.models.walk import gpu_graph
from tests.gpu.comparison import Ask, WrongAnswerError, compare
from tests.gpu.figures import FP32, GPU, LIBRARY, Figures, cores
from tests.gpu.models import Subject, from_folder, made_up
from tests.gpu.other_libraries import rapids
from tests.gpu.placement import CPU, CUDA, PlacementError, placement, session
from tests.gpu.tree_ensemble import tree_ensemble

if TYPE_CHECKING:
    from preprocess.models.card import ModelCard

NO_GPU = 3

# Trees whose pickle has about 45 MB.
SIZES = {"500": 500, "2000": 2_000, "45mb": 10_000}


def main(arguments: list[str] | None = None) -> int:
    """Run; the exit code."""
    options = _parser().parse_args(arguments)
    provider = CUDA if options.provider == "cuda" else CPU
    if provider == CUDA and (reason := why_no_gpu()):
        print(
            f"No GPU: {reason}\nNothing was measured. `--provider cpu` tries out the parts that "
            "need none.",
            file=sys.stderr,
        )
        return NO_GPU
    command = "python tests/gpu/run_gpu_variant.py " + " ".join(arguments or sys.argv[1:])
    figures = Figures(command.strip(), dry_run=provider == CPU)
    threads = cores()
    try:
        if options.model:
            _measure(from_folder(options.model, threads), provider, options.rounds, figures)
        for suffix in [] if options.model else options.sizes:
            print(f"Training {SIZES[suffix]:,} trees ...", file=sys.stderr)
            _measure(made_up(SIZES[suffix], threads, suffix), provider, options.rounds, figures)
    except (PlacementError, WrongAnswerError) as error:
        print(f"Failed: {error}", file=sys.stderr)
        return 1
    print(figures.text())
    if options.json:
        figures.write(options.json)
    return 0


def why_no_gpu() -> str:
    """Why ONNX Runtime cannot use a GPU here; empty if it can."""
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, [1])
    probability = helper.make_tensor_value_info("probability", TensorProto.FLOAT, [1])
    node = helper.make_node("Sigmoid", ["features"], ["probability"])
    graph = helper.make_graph([node], "smallest", [features], [probability])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    try:
        smallest = session(model.SerializeToString(), CUDA, threads=1)
        smallest.run(None, {"features": np.zeros(1, dtype=np.float32)})
    except PlacementError as error:
        return str(error)
    return ""


def _measure(subject: Subject, provider: str, rounds: int, figures: Figures) -> None:
    forest = subject.native.forest()
    about = SimpleNamespace(
        model_id=subject.name,
        family="xgboost" if subject.file_name.endswith("ubj") else "lightgbm",
        threshold=0.5,
        features=FEATURE_NAMES,
        feature_hash=feature_hash(),
    )
    graph = gpu_graph(forest, cast("ModelCard", about)).SerializeToString()
    placed = placement(graph, provider, subject.rows(100))
    placed.require(provider)
    print(f"{subject.name}, nodes by provider:\n{placed.text}", file=sys.stderr)
    fp32 = tree_ensemble(forest).SerializeToString()
    with TemporaryDirectory() as folder:
        file = Path(folder) / subject.file_name
        file.write_bytes(subject.content)
        contenders: dict[str, Ask] = {
            GPU: _graph(graph, provider, threads=1, column=0),
            FP32: _graph(fp32, CPU, threads=cores(), column=1),
            LIBRARY: subject.on_all_cores,
        }
        contenders |= dict(rapids(file)) if provider == CUDA else {}
        # Sums of so many float32 leaves differ in their last bits with the order of adding.
        tolerance = 1e-6 * max(1.0, math.sqrt(forest.trees / 100))
        times = compare(contenders, LIBRARY, subject.rows, tolerance=tolerance, rounds=rounds)
    figures.add(subject.name, subject.suffix, times)


def _graph(graph: bytes, provider: str, *, threads: int, column: int) -> Ask:
    made = session(graph, provider, threads=threads)
    return lambda x: made.run(["probability"], {"features": x})[0][:, column]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--provider", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--model", type=Path, help="a model's folder, instead of made-up forests")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
