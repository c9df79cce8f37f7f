"""A Triton that loads from the live repository as the real one does, and fails when it is told to.

What it answers is computed by the graphs that it has loaded, so a wrong file gives a wrong answer.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from gateway.triton.tensors import pack_texts
from preprocess.features.batch import golden_rows
from preprocess.features.row import Status
from preprocess.market.golden_row import GOLDEN_DATE
from preprocess.repository.control_key import GRPC_HEADER, make_key
from preprocess.settings import Settings

Tensor = service_pb2.ModelInferResponse.InferOutputTensor
_ROW = golden_rows().values[0].astype(np.float32)


@dataclass
class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # generated, untyped
    """`fail_at` names the call by its number (from 1) that is refused, of those that change
    something or infer; `refuse` names models that never load, `dead` those whose process is gone,
    `deaf` those that stay as they are when they are loaded anew, `hangs` those that never finish.
    """

    repository: Path
    loaded: dict[str, model_config_pb2.ModelConfig] = field(default_factory=dict)
    graphs: dict[str, onnxruntime.InferenceSession] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)
    hangs: set[str] = field(default_factory=set)
    fail_at: int = 0
    shift: float = 0.0
    key: str = ""

    async def _require_key(self, context: Any) -> None:
        if dict(context.invocation_metadata()).get(GRPC_HEADER) != self.key:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "This protocol is restricted")

    async def _count(self, context: Any, call: str, name: str) -> None:
        self.calls.append((call, name))
        if len(self.calls) == self.fail_at or (call == "load" and name in self.refuse):
            await context.abort(grpc.StatusCode.INTERNAL, f"no {call} of {name}")

    def loads(self) -> list[str]:
        """The models that were asked to be loaded, in order."""
        return [name for call, name in self.calls if call == "load"]

    async def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        return service_pb2.ServerLiveResponse(live=True)

    async def RepositoryIndex(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        await self._require_key(context)
        models = [
            service_pb2.RepositoryIndexResponse.ModelIndex(name=name, state="READY")
            for name in self.loaded
        ]
        return service_pb2.RepositoryIndexResponse(models=models)

    async def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        if request.name not in self.loaded:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown model")
        return service_pb2.ModelConfigResponse(config=self.loaded[request.name])

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        await self._require_key(context)
        name = request.model_name
        await self._count(context, "load", name)
        if name in self.hangs:
            await asyncio.sleep(600)
        if name in self.deaf and name in self.loaded:
            return service_pb2.RepositoryModelLoadResponse()
        folder = self.repository / name
        try:
            text = (folder / "config.pbtxt").read_text("utf-8")
            config = text_format.Parse(text, model_config_pb2.ModelConfig())
            if config.platform != "ensemble":
                (version,) = (entry for entry in folder.iterdir() if entry.is_dir())
                self.graphs[name] = onnxruntime.InferenceSession(
                    str(version / "model.onnx"), providers=["CPUExecutionProvider"]
                )
        except Exception as error:  # noqa: BLE001 - whatever it is, the server says that it failed
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"failed to load: {error}")
        self.loaded[name] = config
        self.dead.discard(name)
        return service_pb2.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        await self._require_key(context)
        await self._count(context, "unload", request.model_name)
        self.loaded.pop(request.model_name, None)
        self.graphs.pop(request.model_name, None)
        return service_pb2.RepositoryModelUnloadResponse()

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        await self._count(context, "infer", request.model_name)
        config = self.loaded.get(request.model_name)
        behind = config.ensemble_scheduling.step[-1].model_name if config else ""
        if behind in self.dead:
            text = f"in ensemble, Stub process '{behind}_0_0' is not healthy."
            await context.abort(grpc.StatusCode.INTERNAL, text)
        if behind not in self.graphs:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown model")
        outputs = ["probability", "model_version"]
        probability, version = self.graphs[behind].run(outputs, {"features": _ROW[None, :]})
        raw = {
            "features": ("FP32", 25, _ROW.tobytes()),
            "as_of": ("BYTES", 1, pack_texts([GOLDEN_DATE.isoformat()])),
            "status": ("BYTES", 1, pack_texts([Status.OK])),
            "probability": ("FP32", 1, struct.pack("<f", probability[0, 0] + self.shift)),
            "model_version": ("INT64", 1, struct.pack("<q", version[0, 0])),
        }
        return service_pb2.ModelInferResponse(
            outputs=[
                Tensor(name=name, datatype=kind, shape=[1, width])
                for name, (kind, width, _) in raw.items()
            ],
            raw_output_contents=[content for *_, content in raw.values()],
        )

    def behind(self, name: str) -> str:
        """The classifier that a loaded ensemble leads to."""
        return str(self.loaded[name].ensemble_scheduling.step[-1].model_name)


@asynccontextmanager
async def serving(servicer: FakeTriton, settings: Settings) -> AsyncIterator[FakeTriton]:
    """The fake behind gRPC; the key of its control APIs lies in the data folder."""
    servicer.key = make_key(settings)
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    assert server.add_insecure_port(settings.triton_grpc_address)
    await server.start()
    try:
        yield servicer
    finally:
        await server.stop(None)
