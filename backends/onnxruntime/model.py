"""A Triton backend for ONNX graphs, for servers that were built without the native one.

When this file is in `<backend directory>/onnxruntime/` (a Python-based backend), Triton uses it for
every model whose config says `backend: "onnxruntime"`. It reads the parameters
`intra_op_thread_count`, `inter_op_thread_count` and the session options (`session.*`) as the native
backend does.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

# Loading takes a second of CPU time, which other instances need to answer requests meanwhile.
_NICENESS = 10


class TritonPythonModel:
    """One instance of one version of one model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph of this version; a graph that does not fit its config is refused."""
        priority = _lower_priority()
        import onnxruntime  # noqa: PLC0415 - the import is most of the load time

        config = json.loads(args["model_config"])
        graph = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _parameter(config, "intra_op_thread_count")
        options.inter_op_num_threads = _parameter(config, "inter_op_thread_count")
        for name, parameter in config["parameters"].items():
            if name.startswith("session."):
                options.add_session_config_entry(name, parameter["string_value"])
        self._session = onnxruntime.InferenceSession(
            str(graph), options, providers=_providers(args)
        )
        self._inputs = [entry["name"] for entry in config["input"]]
        self._outputs = [entry["name"] for entry in config["output"]]
        _require_same(graph, "inputs", self._inputs, self._session.get_inputs())
        _require_same(graph, "outputs", self._outputs, self._session.get_outputs())
        _restore_priority(priority)

    def execute(
        self, requests: list["pb_utils.InferenceRequest"]
    ) -> list["pb_utils.InferenceResponse"]:
        """Run the graph once over the rows of all requests, and return to each request its own."""
        columns = {
            name: [pb_utils.get_input_tensor_by_name(r, name).as_numpy() for r in requests]
            for name in self._inputs
        }
        feed = {
            name: parts[0] if len(parts) == 1 else np.concatenate(parts)
            for name, parts in columns.items()
        }
        results = dict(zip(self._outputs, self._session.run(self._outputs, feed), strict=True))
        responses, start = [], 0
        for part in columns[self._inputs[0]]:
            rows = slice(start, start + len(part))
            start = rows.stop
            responses.append(
                pb_utils.InferenceResponse(
                    [pb_utils.Tensor(name, value[rows]) for name, value in results.items()]
                )
            )
        return responses


def _lower_priority() -> int:
    """Lower this process's priority, if the system allows raising it again; return the old one.

    A process that cannot load its graph ends, so its priority need not be restored.
    """
    before = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, before - 1)
    except OSError:
        return before
    os.setpriority(os.PRIO_PROCESS, 0, before + _NICENESS)
    return before


def _restore_priority(priority: int) -> None:
    """Restore the priority of every thread, including those that loading has started."""
    for thread in Path("/proc/self/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), priority)


def _providers(args: dict[str, str]) -> list[Any]:
    """The execution providers of an instance: CUDA for KIND_GPU, else the CPU."""
    if args["model_instance_kind"] != "GPU":
        return ["CPUExecutionProvider"]
    import onnxruntime  # noqa: PLC0415 - imported already

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise pb_utils.TritonModelException(
            f"{args['model_name']} needs a GPU, but the installed onnxruntime package has no CUDA "
            "provider: install onnxruntime-gpu"
        )
    return [("CUDAExecutionProvider", {"device_id": int(args["model_instance_device_id"])})]


def _parameter(config: dict[str, Any], name: str) -> int:
    return int(config["parameters"].get(name, {"string_value": "1"})["string_value"])


def _require_same(graph: Path, what: str, configured: list[str], found: list[Any]) -> None:
    names = [node.name for node in found]
    if sorted(configured) != sorted(names):
        raise pb_utils.TritonModelException(
            f"{graph} has the {what} {names}, its config.pbtxt names {configured}"
        )
