"""InferenceOptimizer: makes, verifies and times the graphs of a trained model."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
import onnxruntime

from preprocess.errors import ModelError
from preprocess.files import atomic_writes
from preprocess.models.gate import examine, require_passed
from preprocess.models.names import VARIANTS, Variant
from preprocess.models.proof import PROOF_FILE, Proof
from preprocess.models.session import open_session, probabilities
from preprocess.models.variants import build, graph_file
from preprocess.training.folder import ModelFolder
from preprocess.training.native import Float32s, NativeModel


@dataclass(frozen=True, slots=True)
class Timing:
    """Calls with `batch` rows each; times in ms."""

    batch: int
    p50: float
    p95: float
    p99: float


class InferenceOptimizer:
    """Turns a trained model into graphs that may be served."""

    def __init__(self, model: ModelFolder) -> None:
        self._model = model

    @cached_property
    def _native(self) -> NativeModel:
        return self._model.native()

    def convert_to_onnx(self) -> onnx.ModelProto:
        """The FP32 graph, by onnxmltools.

        In: `features` FP32 [N, 25]. Out: `probability` FP32 [N, 1] and `model_version` INT64
        [N, 1].

        Raises:
            ModelError: the model's file is damaged, or the model cannot be converted.
        """
        return self.graph("fp32")

    def quantize_onnx_model(self) -> onnx.ModelProto:
        """The INT8 graph: integer tables, leaves of two bytes; see forest.compiler.

        Raises:
            ModelError: the model's file is damaged, or its trees are too deep.
        """
        return self.graph("int8")

    def graph(self, variant: Variant) -> onnx.ModelProto:
        """The graph of any variant; raises ModelError as above."""
        return build(variant, self._native, self._model.about)

    def verify(
        self,
        graphs: Mapping[str, onnx.ModelProto],
        left_out: Mapping[str, str] = MappingProxyType({}),
    ) -> Proof:
        """The proof that graphs compute the same as the model; see models.gate.

        `left_out` has the reason for each variant without a graph.

        Raises:
            ModelError: a graph fails (the message is a table); or the model's files are damaged.
        """
        return require_passed(examine(self._model, graphs, left_out=left_out))

    def export(self, *, progress: Callable[[int, int], None] = lambda _done, _total: None) -> Proof:
        """Write the graph of every variant and `proof.json` into the model's folder, or nothing.

        A variant that the model does not fit is left out, and the proof says why. `progress`
        receives the number of steps done and of all steps.

        Raises:
            ModelError: see `verify`.
        """
        graphs: dict[str, onnx.ModelProto] = {}
        left_out: dict[str, str] = {}
        steps = len(VARIANTS) + 1
        for done, variant in enumerate(VARIANTS):
            progress(done, steps)
            try:
                graphs[variant] = self.graph(variant)
            except ModelError as error:
                if variant == "fp32":
                    raise
                left_out[variant] = str(error)
        progress(len(VARIANTS), steps)
        proof = self.verify(graphs, left_out)
        # FP32 and the proof come last: without FP32 nothing can be published.
        paths = {variant: self._model.path / graph_file(variant) for variant in reversed(VARIANTS)}
        contents = {
            path: graphs[variant].SerializeToString(deterministic=True)
            for variant, path in paths.items()
            if variant in graphs
        }
        atomic_writes(contents | {self._model.path / PROOF_FILE: proof.to_json()})
        for path in set(paths.values()) - contents.keys():
            path.unlink(missing_ok=True)
        progress(steps, steps)
        return proof

    @staticmethod
    def load_onnx_model(path: Path | str, use_gpu: bool = False) -> onnxruntime.InferenceSession:
        """A session on one CPU thread, or with every operator on the GPU.

        Raises:
            ModelError: the graph cannot be loaded, or cannot run entirely on a GPU.
        """
        return open_session(Path(path), use_gpu=use_gpu)

    @staticmethod
    def predict_batch_onnx(session: onnxruntime.InferenceSession, x: Float32s) -> Float32s:
        """The probabilities [n] of features [n, 25].

        Raises:
            ModelError: the rows have another number of features.
        """
        return probabilities(session, x)

    @staticmethod
    def benchmark_inference(
        session: onnxruntime.InferenceSession, x: Float32s, *, batch: int = 1, calls: int = 200
    ) -> Timing:
        """Time `calls` calls with `batch` rows each, after a tenth as many for warming up.

        Each call takes the next rows of x: a processor that has seen a row predicts every branch
        of its path through a forest, so repeating the same rows looks too fast.

        Raises:
            ModelError: x has fewer than two batches of rows, or rows of the wrong width.
        """
        if len(x) < 2 * batch:
            raise ModelError(f"{len(x)} rows are too few to time batches of {batch}.")
        times = []
        for call in range(calls + calls // 10):
            first = call % (len(x) // batch) * batch
            began = time.perf_counter()
            probabilities(session, x[first : first + batch])
            times.append((time.perf_counter() - began) * 1e3)
        p50, p95, p99 = np.percentile(times[calls // 10 :], [50, 95, 99]).tolist()
        return Timing(batch, p50, p95, p99)
