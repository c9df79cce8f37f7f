"""Loads a published version into a running Triton, by gRPC.

Never over HTTP: there a load stalls the connections that inferences come in on.
"""

import grpc
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from preprocess.errors import ServerError
from preprocess.repository.versions import ModelVersion, classifier_name
from preprocess.runtime.golden_check import GoldenCheck
from preprocess.settings import Settings

_LIVE_TIMEOUT_S = 2.0
_LOAD_TIMEOUT_S = 60.0
_ANSWER_TIMEOUT_S = 5.0


async def server_is_live(settings: Settings) -> bool:
    """Whether a Triton answers on the configured gRPC address."""
    async with InferenceServerClient(settings.triton_grpc_address) as client:
        try:
            return bool(await client.is_server_live(client_timeout=_LIVE_TIMEOUT_S))
        except (InferenceServerException, grpc.RpcError):
            return False


async def load_version(settings: Settings, version: ModelVersion) -> None:
    """Have the server load the newest version, and see that it answers the golden row with it.

    The ensemble follows by itself: it asks for the newest version of its classifier.

    Raises:
        ServerError: the server refuses to load it, or does not answer with it.
        TimeoutError: it takes too long.
    """
    async with InferenceServerClient(settings.triton_grpc_address) as client:
        try:
            await client.load_model(
                classifier_name(version.variant), client_timeout=_LOAD_TIMEOUT_S
            )
        except InferenceServerException as error:
            raise ServerError(f"It says: {error.message()}") from None
    check = GoldenCheck(settings, golden=version.golden, variant=version.variant)
    answered = await check(_ANSWER_TIMEOUT_S)
    if answered != version.model_version:
        raise ServerError(f"It still answers with version {answered}.")
