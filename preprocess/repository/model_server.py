"""Loads and unloads models in a running Triton, by gRPC only.

Over HTTP a load stalls the connections that inference requests use.
"""

from types import TracebackType
from typing import Self

import grpc
from tritonclient.grpc import model_config_pb2
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from preprocess.errors import ServerError
from preprocess.repository.control_key import GRPC_HEADER, read_key
from preprocess.settings import Settings

_TIMEOUT_S = 5.0
_LIVE_TIMEOUT_S = 2.0
_LOAD_TIMEOUT_S = 60.0


class ModelServer:
    """One connection, closed at the end of the block.

    Only a process that can read the key of the control APIs may list, load and unload models.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = InferenceServerClient(settings.triton_grpc_address)
        self._key = read_key(settings)
        self._headers = {GRPC_HEADER: self._key} if self._key else None

    @property
    def has_key(self) -> bool:
        """Whether this process may load models."""
        return self._key is not None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.close()

    async def is_live(self) -> bool:
        """Whether a Triton responds."""
        try:
            return bool(await self._client.is_server_live(client_timeout=_LIVE_TIMEOUT_S))
        except (InferenceServerException, grpc.RpcError):
            return False

    async def loaded(self) -> frozenset[str]:
        """Names of the models that are ready.

        Raises:
            ServerError: the request fails.
        """
        try:
            index = await self._client.get_model_repository_index(
                headers=self._headers, client_timeout=_TIMEOUT_S
            )
        except (InferenceServerException, grpc.RpcError) as error:
            raise ServerError(f"Triton does not list its models: {_message(error)}") from None
        return frozenset(model.name for model in index.models if model.state == "READY")

    async def config(self, name: str) -> model_config_pb2.ModelConfig:
        """The config of a loaded model.

        Raises:
            ServerError: it is not loaded.
        """
        try:
            response = await self._client.get_model_config(name, client_timeout=_TIMEOUT_S)
        except (InferenceServerException, grpc.RpcError) as error:
            raise ServerError(f"Triton does not serve {name}: {_message(error)}") from None
        return response.config

    async def load(self, name: str) -> None:
        """Load a model, or reload it when its files have changed.

        Raises:
            ServerError: it refuses, or takes more than a minute.
        """
        try:
            await self._client.load_model(
                name, headers=self._headers, client_timeout=_LOAD_TIMEOUT_S
            )
        except (InferenceServerException, grpc.RpcError) as error:
            raise ServerError(f"Triton does not load {name}: {_message(error)}") from None

    async def unload(self, name: str) -> None:
        """Unload a model; its in-flight requests are completed.

        Raises:
            ServerError: it refuses. An unknown model is not an error.
        """
        try:
            await self._client.unload_model(name, headers=self._headers, client_timeout=_TIMEOUT_S)
        except (InferenceServerException, grpc.RpcError) as error:
            raise ServerError(f"Triton does not unload {name}: {_message(error)}") from None


def _message(error: Exception) -> str:
    text = error.message() if isinstance(error, InferenceServerException) else str(error)
    if "protocol is restricted" in text:
        return "the key in this data folder is not the server's; is it another stack's server?"
    return str(text)


async def server_is_live(settings: Settings) -> bool:
    """Whether a Triton responds on the configured gRPC address."""
    async with ModelServer(settings) as server:
        return await server.is_live()
