"""The predictor that is Triton: its ensembles `predict_<variant>`, asked over one gRPC channel."""

from collections.abc import Sequence

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from gateway.errors import (
    DeadlineExceededError,
    GpuAbsentError,
    PredictorAwayError,
    PredictorError,
    PredictorOverloadedError,
    PredictorUnavailableError,
    VariantUnavailableError,
)
from gateway.ports import Answer, Ask
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.repository.names import GPU_VARIANT, Variant, ensemble_name
from preprocess.triton.channel import open_channel
from preprocess.triton.ensemble import ensemble_request, raw_outputs, row_status
from preprocess.triton.tensors import TensorError, unpack_floats, unpack_ints, unpack_texts


class TritonPredictor:
    """Asks Triton. The channel is opened by the first request and shared by all."""

    # The generated stub instead of tritonclient's InferenceServerClient: the same protocol and
    # channel, a sixth less processor time for each request.

    def __init__(self, address: str) -> None:
        """`address` is host:port of Triton's gRPC service."""
        self._address = address
        self._channel: grpc.aio.Channel | None = None
        self._stub: service_pb2_grpc.GRPCInferenceServiceStub | None = None

    async def predict(self, asks: Sequence[Ask], timeout_s: float) -> list[Answer]:
        """One Triton request for all asks, which are of one variant and version.

        Raises:
            PredictorError: by the gRPC status, or because the answer does not fit the question.
        """
        if self._stub is None:
            self._channel = open_channel(self._address)
            self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        request = ensemble_request(
            ensemble_name(asks[0].variant, asks[0].version),
            [ask.bse_code for ask in asks],
            [ask.prediction_date for ask in asks],
        )
        try:
            response = await self._stub.ModelInfer(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _explained(error, asks[0].variant) from None
        try:
            return _answers(len(asks), response)
        except TensorError as error:
            raise PredictorUnavailableError(f"Triton's answer cannot be used: {error}") from None

    async def close(self) -> None:
        """Close the channel; what is under way on it fails."""
        channel, self._channel, self._stub = self._channel, None, None
        if channel is not None:
            await channel.close()


def _answers(count: int, response: service_pb2.ModelInferResponse) -> list[Answer]:
    raw = raw_outputs(response, count)
    features = unpack_floats(raw["features"], count * FEATURE_COUNT)
    return [
        Answer(row_status(status), as_of or None, probability, version, features[start:end])
        for status, as_of, probability, version, start, end in zip(
            unpack_texts(raw["status"], count),
            unpack_texts(raw["as_of"], count),
            unpack_floats(raw["probability"], count),
            unpack_ints(raw["model_version"], count),
            range(0, len(features), FEATURE_COUNT),
            range(FEATURE_COUNT, len(features) + 1, FEATURE_COUNT),
            strict=True,
        )
    ]


def _explained(error: grpc.aio.AioRpcError, variant: Variant) -> PredictorError:
    code, text = error.code(), str(error.details())[:300]
    message = f"Triton answers {code.name}: {text}"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceededError(message)
    # Triton has no status of its own for a full queue: it says UNAVAILABLE.
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED or "maximum queue size" in text:
        return PredictorOverloadedError(message)
    if code is grpc.StatusCode.NOT_FOUND or "unknown model" in text:
        # A model that was never asked to load is not found; one that failed has no version.
        if variant == GPU_VARIANT and "is not found" in text:
            return GpuAbsentError(message)
        return VariantUnavailableError(message)
    # The second is said of a connection that was closed by a server that ends.
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return PredictorAwayError(message)
    return PredictorUnavailableError(message)
