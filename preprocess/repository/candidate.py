"""A trained and exported model on its way to a version."""

from pathlib import Path

import onnx

from preprocess.errors import PublishError
from preprocess.inference_optimizer import InferenceOptimizer
from preprocess.models.names import VARIANTS
from preprocess.models.variants import graph_file
from preprocess.repository.publish import Candidate
from preprocess.training.folder import ModelFolder


def candidate_of(model: ModelFolder) -> Candidate:
    """The model's graphs as they lie there, once each is shown again to compute what it does.

    Raises:
        PublishError: nothing is exported, or a file is no graph.
        ModelError: the gate refuses a graph, or the model's files are damaged.
    """
    paths = {variant: model.path / graph_file(variant) for variant in VARIANTS}
    graphs = {variant: path for variant, path in paths.items() if path.is_file()}
    if not graphs:
        raise PublishError(f"{model.path} holds no graph: run `tezi export` first.")
    proof = InferenceOptimizer(model).verify(
        {variant: _read(path) for variant, path in graphs.items()}
    )
    return Candidate(card=model.card, graphs=graphs, proof=proof.to_json())


def _read(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(str(path))
    except Exception as error:
        # protobuf's DecodeError has no stable public home
        if type(error).__name__ != "DecodeError":
            raise
        raise PublishError(f"{path} is damaged: run `tezi export` again. ({error})") from error
