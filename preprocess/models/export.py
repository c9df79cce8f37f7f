"""A trained model's graphs, written into its folder once the gate has let them pass."""

from collections.abc import Callable

import onnx

from preprocess.errors import ModelError
from preprocess.models.folder import ModelFolder
from preprocess.models.gate import examine, require_passed
from preprocess.models.proof import Proof
from preprocess.models.variants import build, graph_file
from preprocess.repository.files import write_atomically
from preprocess.repository.names import VARIANTS

PROOF_FILE = "proof.json"


def export(
    model: ModelFolder, *, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Proof:
    """Write the graph of every variant and `proof.json`; all of them, or nothing.

    A model that a variant does not suit is exported without it: the proof says why. `progress` is
    told of steps done, and of how many there are.

    Raises:
        ModelError: the model is damaged, or a graph does not compute what the model computes; the
            message is a table of what failed.
    """
    native = model.native()
    graphs: dict[str, onnx.ModelProto] = {}
    left_out: dict[str, str] = {}
    steps = len(VARIANTS) + 2
    for done, variant in enumerate(VARIANTS):
        progress(done, steps)
        try:
            graphs[variant] = build(variant, native, model.about)
        except ModelError as error:
            if variant == "fp32":
                raise
            left_out[variant] = str(error)
    progress(len(VARIANTS), steps)
    proof = require_passed(examine(model, graphs, left_out=left_out))
    progress(len(VARIANTS) + 1, steps)
    for variant in VARIANTS:
        path = model.path / graph_file(variant)
        if variant in graphs:
            write_atomically(path, graphs[variant].SerializeToString(deterministic=True))
        else:
            path.unlink(missing_ok=True)
    write_atomically(model.path / PROOF_FILE, proof.to_json())
    progress(steps, steps)
    return proof
