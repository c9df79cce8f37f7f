"""Builds the GPU variant, shows that all of it runs on the GPU, and measures it against the CPU.

To be run on a machine with an NVIDIA GPU, from a checkout of this repository, without its
environment:

    python -m venv /tmp/gpu && . /tmp/gpu/bin/activate
    pip install "numpy<2" onnx onnxmltools "onnxruntime-gpu[cuda,cudnn]"
    pip install xgboost scikit-learn msgspec
    python tests/gpu/run_gpu_variant.py --json gpu.json

It trains forests on made-up rows. Each graph must have all of its nodes on CUDA and answer what
XGBoost answers; then calls of 1 to 11,000 rows are measured against the FP32 variant in ONNX
Runtime on all cores. Every call has rows that no call had before; copies to the GPU count.

Exit codes: 0 measured; 1 the graph is not whole on the GPU, or answers wrong; 2 wrong use; 3 there
is no GPU that ONNX Runtime can use. `--provider cpu` tries out the parts without one, and writes
no figure.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import distributions
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import xgboost
from numpy.typing import NDArray

from preprocess.features.manifest import FEATURE_COUNT, FEATURE_NAMES, feature_hash
from preprocess.models.variants import build
from preprocess.training.native import Float32s
from preprocess.training.xgboost_model import XGBoostModel
from tests.gpu.placement import CPU, CUDA, NoProviderError, PlacementError, placement, session
from tests.performance.machine import machine
from tests.performance.row import Row

if TYPE_CHECKING:
    from preprocess.training.card import ModelCard

SEED = 20260814
NO_GPU = 3
GOAL_RATIO = 10.0
ROUNDS = 5
# Trees whose pickle has about 45 MB are the last.
SIZES = {"500": 500, "2000": 2_000, "45mb": 10_000}
# Calls of each round, by rows of a call.
CALLS = {1: 60, 10: 40, 100: 20, 1_000: 10, 11_000: 4}
_TRAINING_ROWS = 30_000
_PACKAGES = ("numpy", "onnx", "onnxruntime-gpu", "onnxruntime", "xgboost", "xgboost-cpu")

Ask = Callable[[Float32s], NDArray[Any]]
# Milliseconds of every call, by contender and rows of a call.
Times = dict[str, dict[int, list[float]]]


class WrongAnswerError(RuntimeError):
    """A graph does not compute the model."""


def main(arguments: list[str] | None = None) -> int:
    """Run; the exit code."""
    options = _parser().parse_args(arguments)
    provider = CPU if options.provider == "cpu" else CUDA
    rows: list[Row] = []
    try:
        for suffix in options.sizes:
            print(f"Training {SIZES[suffix]:,} trees ...", file=sys.stderr)
            rows += _rows(suffix, _measure(SIZES[suffix], provider))
    except NoProviderError as error:
        print(f"No GPU: {error}\nNothing was measured.", file=sys.stderr)
        return NO_GPU
    except (PlacementError, WrongAnswerError) as error:
        print(f"Failed: {error}", file=sys.stderr)
        return 1
    if provider == CPU:
        print("Dry run on the CPU: the parts work. Nothing was measured.")
        return 0
    document = _document("python tests/gpu/run_gpu_variant.py", rows)
    print(document["machine"], document["versions"], sep="\n")
    for row in rows:
        print(f"{row.metric:26}{row.value:.3g} ms, FP32 on all cores {row.baseline:.3g} ms")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


def made_up(trees: int) -> xgboost.Booster:
    """An XGBoost forest of depth 6 on made-up rows with a signal in them."""
    random = np.random.default_rng(SEED)
    x = made_up_rows(random, _TRAINING_ROWS)
    known = np.nan_to_num(x)
    signal = known[:, 0] / 3 + known[:, 6] * known[:, 7] + np.abs(known[:, 8]) - known[:, 9]
    noisy = signal + random.normal(0.0, 2.0, len(x))
    parameters = {
        "objective": "binary:logistic",
        "max_depth": 6,
        "learning_rate": min(5.0 / trees, 0.1),
        "tree_method": "hist",
        "subsample": 0.7,
        "colsample_bytree": 0.5,
        "min_child_weight": 5.0,
        "reg_lambda": 5.0,
        "base_score": 0.12,
        "seed": SEED,
        "nthread": cores(),
    }
    data = xgboost.DMatrix(x, label=noisy > np.quantile(noisy, 0.88))
    return xgboost.train(parameters, data, num_boost_round=trees)


def made_up_rows(random: np.random.Generator, count: int) -> Float32s:
    """Features [count, 25]: whole numbers in some columns, one value in fifty missing."""
    x = random.standard_t(4, size=(count, FEATURE_COUNT)).astype(np.float32)
    x[:, :5] = np.round(x[:, :5] * 3)
    x[random.random(x.shape) < 0.02] = np.nan
    return x


def compare(
    contenders: Mapping[str, Ask], reference: Ask, *, tolerance: float, rounds: int
) -> Times:
    """Let the contenders answer the same fresh rows in turns; the first round only warms up.

    Raises:
        WrongAnswerError: an answer is further from the reference than `tolerance`.
    """
    random = np.random.default_rng(SEED + 1)
    found: Times = {name: {size: [] for size in CALLS} for name in contenders}
    for number in range(rounds + 1):
        for size, calls in CALLS.items():
            for _ in range(calls if number else 1):
                rows = made_up_rows(random, size)
                expected = reference(rows)
                for name, ask in contenders.items():
                    began = time.perf_counter()
                    answer = ask(rows)
                    ms = (time.perf_counter() - began) * 1e3
                    apart = np.abs(answer.astype(float) - expected.astype(float))
                    if not apart.max() <= tolerance:  # NaN is wrong too
                        raise WrongAnswerError(
                            f"{name} does not compute the model: it is off by {apart.max():.2g}."
                        )
                    if number:
                        found[name][size].append(ms)
    return found


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _measure(trees: int, provider: str) -> Times:
    booster = made_up(trees)
    native = XGBoostModel(booster)
    about = cast(
        "ModelCard",
        SimpleNamespace(
            model_id=f"{trees} trees",
            family="xgboost",
            threshold=0.5,
            features=FEATURE_NAMES,
            feature_hash=feature_hash(),
        ),
    )
    gpu, fp32 = (build(variant, native, about).SerializeToString() for variant in ("gpu", "fp32"))
    nodes = placement(gpu, provider, made_up_rows(np.random.default_rng(SEED), 100))[provider]
    print(f"{trees:,} trees, all nodes on {provider}: {dict(nodes)}", file=sys.stderr)
    contenders = {
        "gpu": _asking(gpu, provider, threads=1),
        "fp32": _asking(fp32, CPU, threads=cores()),
    }
    # Sums of so many float32 leaves differ in their last bits with the order of adding.
    tolerance = 1e-6 * max(1.0, math.sqrt(trees / 100))
    return compare(contenders, booster.inplace_predict, tolerance=tolerance, rounds=ROUNDS)


def _asking(graph: bytes, provider: str, *, threads: int) -> Ask:
    made = session(graph, provider, threads=threads)
    return lambda x: made.run(["probability"], {"features": x})[0][:, 0]


def _rows(suffix: str, times: Times) -> list[Row]:
    return [
        Row(
            f"gpu_b{size}_vs_cpu_{suffix}",
            float(np.median(times["gpu"][size])),
            "ms",
            float(np.median(times["fp32"][size])),
            goal_ratio=GOAL_RATIO if size == max(CALLS) else None,
        )
        for size in CALLS
    ]


def _document(command: str, rows: list[Row]) -> dict[str, Any]:
    """As JSON, in the form of the other benchmarks."""
    installed = {found.name: found.version for found in distributions()}
    return {
        "name": "gpu",
        "machine": machine() | {"gpu": _gpu_names(), "cores_used": cores()},
        "versions": {name: installed[name] for name in _PACKAGES if name in installed},
        "seed": SEED,
        "command": command,
        "rows": [{**asdict(row), "ratio": row.ratio, "met": row.met} for row in rows],
    }


def _gpu_names() -> str:
    """The GPUs with their drivers, as nvidia-smi has them; `none` without it."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "none"
    return "; ".join(done.stdout.split("\n")).strip("; ") or "none"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--provider", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--json", type=Path, help="where to write the figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
