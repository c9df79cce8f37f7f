"""InferenceOptimizer: a trained forest as ONNX graphs, smaller ones, and how fast they are."""

from pathlib import Path

import onnx
import onnxruntime

from preprocess.errors import ModelError
from preprocess.models.card import Family
from preprocess.models.estimators import native_model
from preprocess.models.fp32 import fp32_graph
from preprocess.models.native import Float32s
from preprocess.models.quantise import Quantised, quantised
from preprocess.models.session import open_session, probabilities
from preprocess.models.timing import Timing, time_inference
from preprocess.models.verification import answers, compare, known_answers, rows_of_split_points
from preprocess.repository.files import write_atomically


class InferenceOptimizer:
    """The ways from a model to a graph that is served, one call each."""

    @staticmethod
    def convert_to_onnx(model: object, model_type: Family, output_path: Path | str) -> Path:
        """Write the FP32 graph of a model, once it is shown to compute the same.

        `model` is a fitted XGBClassifier or LGBMClassifier, a Booster, a model file, or a folder
        of `tezi train`. In: `features` FP32 [N, 25]. Out: `probability` FP32 [N, 1] and
        `model_version` INT64 [N, 1].

        Raises:
            ModelError: the model is of another kind or damaged, or the graph's answers are not its
                own on split points, beside them, on extremes or with features missing.
        """
        native, about = native_model(model, model_type)
        graph = fp32_graph(native, about)
        known = known_answers(native, rows_of_split_points(native.split_points()))
        verification = compare(
            known,
            answers(graph, known),
            threshold=about.threshold,
            tolerance=native.tolerance,
        )
        if not verification.passed:
            raise ModelError(
                "The graph does not compute what the model computes, so it is not written:\n"
                f"{verification.table()}"
            )
        path = Path(output_path)
        write_atomically(path, graph.SerializeToString(deterministic=True))
        return path

    @staticmethod
    def quantize_onnx_model(source: Path | str, output_path: Path | str) -> Quantised:
        """Write a graph with integers where `source` has a forest or constant matrices.

        A forest (TreeEnsembleClassifier of two classes, TreeEnsembleRegressor) is compiled to
        integer tables with leaves of two bytes; matrix products get int8 weights by
        onnxruntime.quantization.

        Raises:
            ModelError: nothing could be quantised; nothing is written, and the message says what
                the graph consists of.
        """
        try:
            graph = onnx.load(str(source))
        except Exception as error:
            # protobuf's DecodeError has no stable public home
            if not isinstance(error, OSError) and type(error).__name__ != "DecodeError":
                raise
            raise ModelError(f"{source} is no ONNX graph: {error}") from error
        made = quantised(graph)
        write_atomically(Path(output_path), made.graph.SerializeToString(deterministic=True))
        return made

    @staticmethod
    def load_onnx_model(path: Path | str, use_gpu: bool = False) -> onnxruntime.InferenceSession:
        """A session on one thread of the CPU, or with every operator on the GPU.

        Raises:
            ModelError: the graph cannot be loaded; or there is no GPU, or not for every operator.
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
        session: onnxruntime.InferenceSession, x: Float32s, *, batch: int = 1, calls: int = 1000
    ) -> Timing:
        """p50, p95 and p99 of calls with `batch` rows each, in ms; the rows rotate.

        Raises:
            ModelError: x has not twice as many rows as a batch.
        """
        return time_inference(session, x, batch=batch, calls=calls)
