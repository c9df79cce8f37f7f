"""The predictor that is Triton: its ensembles `predict_<variant>`, asked over one gRPC channel."""

from collections.abc import Sequence

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from gateway.errors import (
    DeadlineExceededError,
    PredictorError,
    PredictorOverloadedError,
    PredictorUnavailableError,
    VariantUnavailableError,
)
from gateway.ports import Answer, Ask
from gateway.tensors import TensorError, pack_texts, unpack_floats, unpack_ints, unpack_texts
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.features.row import Status
from preprocess.repository.versions import ensemble_name

_OUTPUTS = {
    "features": ("FP32", FEATURE_COUNT),
    "as_of": ("BYTES", 1),
    "status": ("BYTES", 1),
    "probability": ("FP32", 1),
    "model_version": ("INT64", 1),
}

_CHANNEL_OPTIONS = [
    # A peer that went without a word is noticed; the golden row keeps the channel in use.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # gRPC would wait up to two minutes before it tries again; Triton restarts in seconds.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    # Triton stands beside us: a proxy of the environment is meant for the world outside.
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
]

_Input = service_pb2.ModelInferRequest.InferInputTensor


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
        """One Triton request for all asks, which are of one variant.

        Raises:
            PredictorError: by the gRPC status, or because the answer does not fit the question.
        """
        if self._stub is None:
            self._channel = grpc.aio.insecure_channel(self._address, options=_CHANNEL_OPTIONS)
            self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        try:
            response = await self._stub.ModelInfer(_request(asks), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _explained(error) from None
        try:
            return _answers(len(asks), response)
        except TensorError as error:
            raise PredictorUnavailableError(f"Triton's answer cannot be used: {error}") from None

    async def close(self) -> None:
        """Close the channel; what is under way on it fails."""
        channel, self._channel, self._stub = self._channel, None, None
        if channel is not None:
            await channel.close()


def _request(asks: Sequence[Ask]) -> service_pb2.ModelInferRequest:
    shape = [len(asks), 1]
    return service_pb2.ModelInferRequest(
        model_name=ensemble_name(asks[0].variant),
        inputs=[
            _Input(name="bse_code", datatype="BYTES", shape=shape),
            _Input(name="prediction_date", datatype="BYTES", shape=shape),
        ],
        raw_input_contents=[
            pack_texts([ask.bse_code for ask in asks]),
            pack_texts([ask.prediction_date for ask in asks]),
        ],
    )


def _answers(count: int, response: service_pb2.ModelInferResponse) -> list[Answer]:
    raw = _raw_outputs(response, count)
    features = unpack_floats(raw["features"], count * FEATURE_COUNT)
    return [
        Answer(_status(status), as_of or None, probability, version, features[start:end])
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


def _raw_outputs(response: service_pb2.ModelInferResponse, count: int) -> dict[str, bytes]:
    """The bytes of the five outputs, once their types and shapes are what they must be."""
    raw: dict[str, bytes] = {}
    if len(response.outputs) != len(response.raw_output_contents):
        raise TensorError("an output comes without its bytes")
    for output, content in zip(response.outputs, response.raw_output_contents, strict=True):
        expected = _OUTPUTS.get(output.name)
        if expected is None:
            continue
        datatype, width = expected
        if output.datatype != datatype or list(output.shape) != [count, width]:
            raise TensorError(
                f"{output.name} is {output.datatype} {list(output.shape)}, "
                f"not {datatype} [{count}, {width}]"
            )
        raw[output.name] = content
    if len(raw) != len(_OUTPUTS):
        raise TensorError(f"no output {', '.join(sorted(_OUTPUTS.keys() - raw))}")
    return raw


def _status(word: str) -> Status:
    try:
        return Status(word)
    except ValueError:
        raise TensorError(f"the status {word[:40]!r} is not known") from None


def _explained(error: grpc.aio.AioRpcError) -> PredictorError:
    code, text = error.code(), str(error.details())[:300]
    message = f"Triton answers {code.name}: {text}"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceededError(message)
    # Triton has no status of its own for a full queue: it says UNAVAILABLE.
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED or "maximum queue size" in text:
        return PredictorOverloadedError(message)
    if code is grpc.StatusCode.NOT_FOUND or "unknown model" in text:
        return VariantUnavailableError(message)
    return PredictorUnavailableError(message)
