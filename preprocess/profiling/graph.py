"""A classifier's graph in ONNX Runtime, run in this process on the rows of a load."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnxruntime

from preprocess.errors import ModelError
from preprocess.features.wire import Float32s


@dataclass(frozen=True, slots=True)
class Operator:
    """All nodes of one kind: the ms in them of one request."""

    name: str
    ms: float


@dataclass(frozen=True, slots=True)
class Inferences:
    """The mean ms of one run of the graph, and its operators, dearest first."""

    ms: float
    operators: Sequence[Operator]


def time_graph(graph: Path, requests: Sequence[Float32s]) -> Inferences:
    """Run the graph on each request's features with one thread; timed, then profiled.

    Raises:
        ModelError: the graph cannot be loaded.
    """
    session = _session(graph)
    outputs = [output.name for output in session.get_outputs()]
    for features in requests[: len(requests) // 10 + 1]:
        session.run(outputs, {"features": features})
    seconds = 0.0
    for features in requests:
        began = time.perf_counter()
        session.run(outputs, {"features": features})
        seconds += time.perf_counter() - began
    with TemporaryDirectory(prefix="tezi-profile-") as folder:
        profiled = _session(graph, profile=f"{folder}/graph")
        for features in requests:
            profiled.run(outputs, {"features": features})
        events = json.loads(Path(profiled.end_profiling()).read_text(encoding="utf-8"))
    return Inferences(seconds / len(requests) * 1e3, _operators(events, len(requests)))


def _session(graph: Path, *, profile: str = "") -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise ModelError(f"{graph} cannot be loaded: {error}") from error


def _operators(events: Sequence[dict[str, Any]], requests: int) -> Sequence[Operator]:
    spent: dict[str, float] = {}
    for event in events:
        kind = event.get("args", {}).get("op_name")
        if event.get("cat") == "Node" and kind and event["name"].endswith("_kernel_time"):
            spent[kind] = spent.get(kind, 0.0) + event["dur"] / requests / 1e3
    return [Operator(name, ms) for name, ms in sorted(spent.items(), key=lambda item: -item[1])]
