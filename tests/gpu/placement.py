"""Sessions on one provider, and the proof that every node ran there.

ONNX Runtime takes the CPU in silence when the provider that is asked for does not load, or has no
kernel for a node. A figure measured like that would be one of the CPU.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class PlacementError(RuntimeError):
    """The provider is not there, or not every node runs on it."""


@dataclass(frozen=True)
class Placement:
    """Where the nodes of a graph ran: how many of each operator, by provider."""

    nodes: dict[str, dict[str, int]]

    @classmethod
    def of(cls, events: Sequence[dict[str, Any]]) -> "Placement":
        """From the events of ONNX Runtime's profile."""
        found: dict[str, Counter[str]] = {}
        for event in events:
            details = event.get("args", {})
            if event.get("cat") == "Node" and "provider" in details:
                counter = found.setdefault(details["provider"], Counter())
                counter[details["op_name"]] += 1
        return cls({provider: dict(counter) for provider, counter in found.items()})

    def require(self, provider: str) -> None:
        """See that all of them ran on `provider`.

        Raises:
            PlacementError: some ran elsewhere, or none ran; the message names the operators.
        """
        if not self.nodes:
            raise PlacementError("The profile shows no node: nothing is known of where they ran.")
        elsewhere = {name: found for name, found in self.nodes.items() if name != provider}
        if elsewhere:
            raise PlacementError(f"Not every node ran on {provider}. Elsewhere: {elsewhere}.")

    @property
    def text(self) -> str:
        """One line for each provider."""
        return "\n".join(
            f"  {provider}: "
            + ", ".join(f"{count} {name}" for name, count in sorted(operators.items()))
            for provider, operators in self.nodes.items()
        )


def session(graph: bytes, provider: str, *, threads: int) -> onnxruntime.InferenceSession:
    """A session on `provider` alone, with so many intra-op threads.

    Raises:
        PlacementError: the provider does not load here, or would leave nodes to the CPU.
    """
    return _session(graph, provider, _options(provider, threads))


def placement(graph: bytes, provider: str, features: object) -> Placement:
    """Run `features` [n, F] once with ONNX Runtime's profiler on.

    Raises:
        PlacementError: see `session`.
    """
    with TemporaryDirectory() as folder:
        options = _options(provider, 1)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        profiled = _session(graph, provider, options)
        profiled.run(["probability"], {"features": features})
        events = json.loads(Path(profiled.end_profiling()).read_text(encoding="utf-8"))
    return Placement.of(events)


def _options(provider: str, threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if provider != CPU:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return options


def _session(
    graph: bytes, provider: str, options: onnxruntime.SessionOptions
) -> onnxruntime.InferenceSession:
    if provider not in onnxruntime.get_available_providers():
        raise PlacementError(f"ONNX Runtime {onnxruntime.__version__} has no {provider}.")
    try:
        made = onnxruntime.InferenceSession(graph, options, providers=[provider])
    except Exception as error:  # ONNX Runtime raises types of its own, one for each status
        raise PlacementError(f"{provider} does not take the graph: {error}") from error
    if made.get_providers()[0] != provider:
        raise PlacementError(f"{provider} did not load; ONNX Runtime took {made.get_providers()}.")
    return made


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
