"""Sessions on one provider, and the proof that every node ran there.

ONNX Runtime takes the CPU in silence when the requested provider does not load, or has no kernel
for a node. A figure measured like that would be one of the CPU.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnxruntime

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

Placement = dict[str, Counter[str]]
"""Where the nodes of a graph ran: how many of each operator, by provider."""


class PlacementError(RuntimeError):
    """Not every node runs on the provider."""


class NoProviderError(RuntimeError):
    """The provider cannot be used here."""


def session(
    graph: bytes, provider: str, *, threads: int, profile: str = ""
) -> onnxruntime.InferenceSession:
    """A session on `provider` alone, with so many intra-op threads.

    `profile` is the prefix of the file that ONNX Runtime's profiler writes; empty turns it off.

    Raises:
        NoProviderError: the provider does not load here.
        PlacementError: it does not take the graph, or would leave nodes to the CPU.
    """
    if provider not in onnxruntime.get_available_providers():
        raise NoProviderError(f"ONNX Runtime {onnxruntime.__version__} has no {provider}.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if provider != CPU:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    try:
        made = onnxruntime.InferenceSession(graph, options, providers=[provider])
    except Exception as error:  # ONNX Runtime raises types of its own, one for each status
        raise PlacementError(f"{provider} does not take the graph: {error}") from error
    if made.get_providers()[0] != provider:
        raise NoProviderError(f"{provider} did not load; ONNX Runtime took {made.get_providers()}.")
    return made


def placement(graph: bytes, provider: str, features: object) -> Placement:
    """Run `features` [n, F] once with ONNX Runtime's profiler on.

    Raises:
        NoProviderError, PlacementError: see `session`; or some nodes ran elsewhere, or none ran.
    """
    with TemporaryDirectory() as folder:
        profiled = session(graph, provider, threads=1, profile=str(Path(folder) / "profile"))
        profiled.run(["probability"], {"features": features})
        events = json.loads(Path(profiled.end_profiling()).read_text(encoding="utf-8"))
    return placed(events, provider)


def placed(events: Sequence[dict[str, Any]], provider: str) -> Placement:
    """Read the events of a profile; all nodes must have run on `provider`.

    Raises:
        PlacementError: some ran elsewhere, or none ran; the message names the operators.
    """
    nodes: Placement = {}
    for event in events:
        details = event.get("args", {})
        if event.get("cat") == "Node" and "provider" in details:
            nodes.setdefault(details["provider"], Counter())[details["op_name"]] += 1
    if not nodes:
        raise PlacementError("The profile shows no node: nothing is known of where they ran.")
    elsewhere = {name: dict(found) for name, found in nodes.items() if name != provider}
    if elsewhere:
        raise PlacementError(f"Not every node ran on {provider}. Elsewhere: {elsewhere}.")
    return nodes
