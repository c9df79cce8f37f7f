"""ONNX Runtime sessions: on one CPU thread, or entirely on a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime

from preprocess.errors import ModelError
from preprocess.training.native import Float32s

GPU_PROVIDER = "CUDAExecutionProvider"


def open_session(graph: Path | bytes, *, use_gpu: bool = False) -> onnxruntime.InferenceSession:
    """A session for a graph. With `use_gpu` every operator runs on the GPU.

    Raises:
        ModelError: the graph cannot be loaded; there is no GPU; or ONNX Runtime would run part of
            the graph on the CPU.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    provider = "CPUExecutionProvider"
    if use_gpu:
        provider = GPU_PROVIDER
        if provider not in onnxruntime.get_available_providers():
            raise ModelError(
                "ONNX Runtime has no GPU here: it needs an NVIDIA GPU and the package "
                "onnxruntime-gpu. Use the fp32 or int8 graph."
            )
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    source, name = (graph, "The graph") if isinstance(graph, bytes) else (str(graph), str(graph))
    with explained(f"{name} cannot be loaded"):
        session = onnxruntime.InferenceSession(source, options, providers=[provider])
    if use_gpu and provider not in session.get_providers():
        raise ModelError("ONNX Runtime could not start the GPU; its log says why.")
    return session


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn an error of ONNX Runtime into a ModelError of one line that begins with `what`."""
    try:
        yield
    except Exception as error:
        # its own errors have no common base
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        first_line = str(error).partition("\n")[0]
        raise ModelError(f"{what}: {first_line}") from error


def probabilities(session: onnxruntime.InferenceSession, x: Float32s) -> Float32s:
    """The probabilities [n] of features [n, 25], in one call.

    Raises:
        ModelError: x has another number of columns than the graph takes.
    """
    rows = np.ascontiguousarray(x, dtype=np.float32)
    (expected,) = session.get_inputs()
    if rows.ndim != 2 or rows.shape[1] != expected.shape[1]:
        raise ModelError(f"The graph takes rows of {expected.shape[1]} features, not {rows.shape}.")
    (column,) = session.run(["probability"], {expected.name: rows})
    found: Float32s = column[:, 0]
    return found
