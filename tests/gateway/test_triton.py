"""The Triton adapter against a real gRPC server that says what each test has it say."""

import asyncio
import math
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from grpc import StatusCode as Code
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.grpc.service_pb2 import ModelInferResponse as Response

from gateway.errors import (
    DeadlineExceededError,
    PredictorAwayError,
    PredictorError,
    PredictorOverloadedError,
    PredictorUnavailableError,
    VariantUnavailableError,
)
from gateway.ports import Ask
from gateway.triton import TritonPredictor
from preprocess.features.row import Status
from preprocess.triton.tensors import pack_texts

Tensor = service_pb2.ModelInferResponse.InferOutputTensor
Change = Callable[[Response], None]

ASKS = [
    Ask("500325", "2026-08-14", "fp32"),
    Ask("599999", "2026-08-13", "fp32"),
    Ask("000123", "2020-01-02", "fp32"),
]


@dataclass
class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Answers as Triton does, then changes the answer, is slow, or fails."""

    change: Change = lambda response: None
    delay_s: float = 0.0
    failure: tuple[Code, str] | None = None
    requests: list[Any] = field(default_factory=list)
    cancelled: int = 0

    async def ModelInfer(  # noqa: N802 - the name that gRPC gives it
        self, request: service_pb2.ModelInferRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> Response:
        self.requests.append(request)
        try:
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure is not None:
            await context.abort(*self.failure)
        response = right_response(request.inputs[0].shape[0])
        self.change(response)
        return response


def right_response(count: int) -> Response:
    words = [Status.OK, Status.UNKNOWN_STOCK, Status.SHORT_HISTORY] * count
    days = ["2020-01-01", "", ""] * count
    tensors = {
        "features": ("FP32", 25, struct.pack(f"<{25 * count}f", *range(25 * count))),
        "as_of": ("BYTES", 1, pack_texts(days[:count])),
        "status": ("BYTES", 1, pack_texts(words[:count])),
        "probability": ("FP32", 1, struct.pack(f"<{count}f", *[0.25] * count)),
        "model_version": ("INT64", 1, struct.pack(f"<{count}q", *[7] * count)),
    }
    return Response(
        outputs=[
            Tensor(name=name, datatype=kind, shape=[count, width])
            for name, (kind, width, _) in tensors.items()
        ],
        raw_output_contents=[raw for _, _, raw in tensors.values()],
    )


@pytest.fixture
def servicer() -> Servicer:
    return Servicer()


@pytest.fixture
async def predictor(servicer: Servicer) -> AsyncIterator[TritonPredictor]:
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    predictor = TritonPredictor(f"127.0.0.1:{port}")
    yield predictor
    await predictor.close()
    await server.stop(None)


async def test_one_request_carries_all_rows(predictor: TritonPredictor, servicer: Servicer) -> None:
    answers = await predictor.predict(ASKS, 5.0)
    (request,) = servicer.requests
    assert request.model_name == "predict_fp32"
    assert [(t.name, t.datatype, list(t.shape)) for t in request.inputs] == [
        ("bse_code", "BYTES", [3, 1]),
        ("prediction_date", "BYTES", [3, 1]),
    ]
    assert list(request.raw_input_contents) == [
        pack_texts(["500325", "599999", "000123"]),
        pack_texts(["2026-08-14", "2026-08-13", "2020-01-02"]),
    ]
    assert [answer.status for answer in answers] == [
        Status.OK,
        Status.UNKNOWN_STOCK,
        Status.SHORT_HISTORY,
    ]
    assert [answer.as_of for answer in answers] == ["2020-01-01", None, None]
    assert [answer.model_version for answer in answers] == [7, 7, 7]
    assert answers[0].probability == 0.25
    assert answers[1].features == tuple(map(float, range(25, 50)))


async def test_variant_and_version_choose_the_ensemble(
    predictor: TritonPredictor, servicer: Servicer
) -> None:
    await predictor.predict([Ask("500325", "2026-08-14", "int8")], 5.0)
    await predictor.predict([Ask("500325", "2026-08-14", "int8", 7)], 5.0)
    assert [request.model_name for request in servicer.requests] == [
        "predict_int8",
        "predict_int8_v7",
    ]


async def test_outputs_are_found_by_name(predictor: TritonPredictor, servicer: Servicer) -> None:
    def turn_round(response: Response) -> None:
        outputs, raw = list(response.outputs), list(response.raw_output_contents)
        outputs.append(Tensor(name="other", datatype="FP32", shape=[3]))
        raw.append(b"")
        del response.outputs[:]
        del response.raw_output_contents[:]
        response.outputs.extend(reversed(outputs))
        response.raw_output_contents.extend(reversed(raw))

    servicer.change = turn_round
    assert (await predictor.predict(ASKS, 5.0))[0].probability == 0.25


async def test_missing_features_stay_missing(
    predictor: TritonPredictor, servicer: Servicer
) -> None:
    def blank(response: Response) -> None:
        response.raw_output_contents[0] = struct.pack("<25f", *[math.nan] * 25) * 3

    servicer.change = blank
    assert all(map(math.isnan, (await predictor.predict(ASKS, 5.0))[0].features))


def shape(name: str, *numbers: int) -> Change:
    def change(response: Response) -> None:
        (tensor,) = [output for output in response.outputs if output.name == name]
        tensor.ClearField("shape")
        tensor.shape.extend(numbers)

    return change


def content(name: str, raw: bytes) -> Change:
    def change(response: Response) -> None:
        names = [output.name for output in response.outputs]
        response.raw_output_contents[names.index(name)] = raw

    return change


def drop(place: int, *, tensor: bool) -> Change:
    def change(response: Response) -> None:
        if tensor:
            del response.outputs[place]
        del response.raw_output_contents[place]

    return change


def datatype(response: Response) -> None:
    response.outputs[3].datatype = "FP64"


BAD_ANSWERS = {
    "too few rows": (shape("probability", 2, 1), "probability is FP32"),
    "another rank": (shape("probability", 3), "probability is FP32"),
    "another width": (shape("features", 3, 24), "features is FP32"),
    "another type": (datatype, "FP64"),
    "an output that is missing": (drop(3, tensor=True), "no output probability"),
    "an output without its bytes": (drop(4, tensor=False), "without its bytes"),
    "too few bytes": (content("features", b"\0" * 299), "299 bytes"),
    "too many integers": (content("model_version", b"\0" * 32), "32 bytes"),
    "texts cut short": (content("status", pack_texts(["OK"] * 3)[:-1]), "past the end"),
    "too many texts": (content("status", pack_texts(["OK"] * 4)), "4 texts"),
    "no UTF-8": (content("status", b"\x02\0\0\0\xff\xff" * 3), "no UTF-8"),
    "a status that nobody knows": (content("status", pack_texts(["OK", "FINE", "OK"])), "FINE"),
}


@pytest.mark.parametrize(("change", "reason"), BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
async def test_an_answer_that_does_not_fit_is_none(
    predictor: TritonPredictor, servicer: Servicer, change: Change, reason: str
) -> None:
    servicer.change = change
    with pytest.raises(PredictorUnavailableError, match=reason):
        await predictor.predict(ASKS, 5.0)
    servicer.change = lambda response: None
    assert len(await predictor.predict(ASKS, 5.0)) == 3


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (
            Code.UNAVAILABLE,
            "Stub process 'features_0_0' is not healthy.",
            PredictorAwayError,
        ),
        (Code.INTERNAL, "onnx runtime error", PredictorUnavailableError),
        (Code.INVALID_ARGUMENT, "unexpected shape", PredictorUnavailableError),
        (Code.UNKNOWN, "", PredictorUnavailableError),
        (Code.CANCELLED, "", PredictorAwayError),
        (Code.UNIMPLEMENTED, "", PredictorUnavailableError),
        (Code.RESOURCE_EXHAUSTED, "", PredictorOverloadedError),
        (Code.UNAVAILABLE, "Exceeds maximum queue size", PredictorOverloadedError),
        (Code.DEADLINE_EXCEEDED, "", DeadlineExceededError),
        (
            Code.NOT_FOUND,
            "Request for unknown model: 'predict_gpu' is not found",
            VariantUnavailableError,
        ),
        (
            Code.UNAVAILABLE,
            "Request for unknown model: 'predict_gpu' has no available versions",
            VariantUnavailableError,
        ),
    ],
)
async def test_every_grpc_status_is_an_error_of_ours(
    predictor: TritonPredictor,
    servicer: Servicer,
    code: Code,
    text: str,
    expected: type[PredictorError],
) -> None:
    servicer.failure = (code, text)
    with pytest.raises(PredictorError, match=code.name) as caught:
        await predictor.predict(ASKS, 5.0)
    assert type(caught.value) is expected


async def test_the_deadline_goes_with_the_request(
    predictor: TritonPredictor, servicer: Servicer
) -> None:
    await predictor.predict(ASKS, 5.0)
    servicer.delay_s = 5.0
    began = asyncio.get_running_loop().time()
    with pytest.raises(DeadlineExceededError):
        await predictor.predict(ASKS, 0.05)
    assert asyncio.get_running_loop().time() - began < 1.0
    async with asyncio.timeout(2):
        while not servicer.cancelled:  # the server stops working on it, too
            await asyncio.sleep(0.01)


async def test_a_caller_who_leaves_takes_its_request_along(
    predictor: TritonPredictor, servicer: Servicer
) -> None:
    servicer.delay_s = 5.0
    task = asyncio.create_task(predictor.predict(ASKS, 5.0))
    async with asyncio.timeout(2):
        while not servicer.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        while not servicer.cancelled:
            await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_one_channel_serves_all_requests(
    predictor: TritonPredictor, servicer: Servicer
) -> None:
    servicer.delay_s = 0.02
    await asyncio.gather(*(predictor.predict(ASKS, 5.0) for _ in range(20)))
    channel = predictor._channel
    await predictor.predict(ASKS, 5.0)
    assert predictor._channel is channel


async def test_a_server_that_comes_back_is_used_again_soon() -> None:
    first = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(), first)
    port = first.add_insecure_port("127.0.0.1:0")
    await first.start()
    predictor = TritonPredictor(f"127.0.0.1:{port}")
    await predictor.predict(ASKS, 5.0)
    await first.stop(None)
    for _ in range(5):
        with pytest.raises(PredictorUnavailableError):
            await predictor.predict(ASKS, 1.0)
    second = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(), second)
    assert second.add_insecure_port(f"127.0.0.1:{port}") == port
    await second.start()
    async with asyncio.timeout(2):
        while True:
            try:
                await predictor.predict(ASKS, 1.0)
                break
            except PredictorUnavailableError:
                await asyncio.sleep(0.02)
    await predictor.close()
    await second.stop(None)


async def test_closing_without_a_request_does_nothing() -> None:
    await TritonPredictor("127.0.0.1:1").close()


async def test_nobody_listening_is_unavailable() -> None:
    predictor = TritonPredictor("127.0.0.1:1")
    with pytest.raises(PredictorUnavailableError):
        await predictor.predict(ASKS, 2.0)
    await predictor.close()
