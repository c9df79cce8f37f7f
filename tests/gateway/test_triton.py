"""The Triton adapter against a real HTTP server that says what each test has it say."""

import asyncio
import itertools
import math
import re
import struct
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.errors import (
    DeadlineExceededError,
    GpuAbsentError,
    PredictorAwayError,
    PredictorError,
    PredictorOverloadedError,
    PredictorUnavailableError,
    VariantUnavailableError,
)
from gateway.ports import PredictionQuery
from gateway.triton.predictor import TritonPredictor
from gateway.triton.tensors import pack_texts
from preprocess.features.row import Status
from preprocess.models.names import Variant
from preprocess.settings import load_settings
from tests.gateway.fakes import until
from tests.gateway.http_triton import (
    Change,
    HttpTriton,
    Output,
    Outputs,
    http,
    leads_to,
    serving,
)
from tests.integration.stack import free_ports

ASKS = [
    PredictionQuery("500325", "2026-08-14", "fp32"),
    PredictionQuery("599999", "2026-08-13", "fp32"),
    PredictionQuery("000123", "2020-01-02", "fp32"),
]


@pytest.fixture
async def triton() -> AsyncIterator[HttpTriton]:
    triton = HttpTriton()
    async with serving(triton):
        yield triton


@pytest.fixture
async def predictor(triton: HttpTriton) -> AsyncIterator[TritonPredictor]:
    predictor = TritonPredictor(leads_to(triton.place))
    yield predictor
    await predictor.close()


async def test_one_request_carries_all_rows(predictor: TritonPredictor, triton: HttpTriton) -> None:
    answers = await predictor.predict(ASKS, 60.0)
    (request,) = triton.requests
    codes = pack_texts(["500325", "599999", "000123"])
    days = pack_texts(["2026-08-14", "2026-08-13", "2020-01-02"])
    assert request.path == "/v2/models/predict_fp32/infer"
    assert request.header.pop("id")
    assert request.header == {
        "inputs": [
            {
                "name": name,
                "shape": [3, 1],
                "datatype": "BYTES",
                "parameters": {"binary_data_size": len(content)},
            }
            for name, content in (("bse_code", codes), ("prediction_date", days))
        ],
        "parameters": {"binary_data_output": True},
    }
    assert request.content == codes + days
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
    predictor: TritonPredictor, triton: HttpTriton
) -> None:
    await predictor.predict([PredictionQuery("500325", "2026-08-14", "int8")], 60.0)
    await predictor.predict([PredictionQuery("500325", "2026-08-14", "int8", 7)], 60.0)
    assert [request.path for request in triton.requests] == [
        "/v2/models/predict_int8/infer",
        "/v2/models/predict_int8_v7/infer",
    ]


async def test_outputs_are_found_by_name(predictor: TritonPredictor, triton: HttpTriton) -> None:
    def turn_round(outputs: Outputs) -> None:
        outputs.append(Output("other", "FP32", [3], b"\0" * 12))
        outputs.reverse()

    triton.change = turn_round
    assert (await predictor.predict(ASKS, 60.0))[0].probability == 0.25


async def test_missing_features_stay_missing(
    predictor: TritonPredictor, triton: HttpTriton
) -> None:
    triton.change = content("features", struct.pack("<25f", *[math.nan] * 25) * 3)
    assert all(map(math.isnan, (await predictor.predict(ASKS, 60.0))[0].features))


def _named(outputs: Outputs, name: str) -> Output:
    (found,) = [output for output in outputs if output.name == name]
    return found


def shape(name: str, *numbers: int) -> Change:
    def change(outputs: Outputs) -> None:
        _named(outputs, name).shape = list(numbers)

    return change


def content(name: str, raw: bytes | None) -> Change:
    def change(outputs: Outputs) -> None:
        _named(outputs, name).content = raw

    return change


def drop(place: int) -> Change:
    def change(outputs: Outputs) -> None:
        del outputs[place]

    return change


def datatype(outputs: Outputs) -> None:
    outputs[3].datatype = "FP64"


BAD_ANSWERS = {
    "too few rows": (shape("probability", 2, 1), "probability is FP32"),
    "another rank": (shape("probability", 3), "probability is FP32"),
    "another width": (shape("features", 3, 24), "features is FP32"),
    "another type": (datatype, "FP64"),
    "an output that is missing": (drop(3), "no output probability"),
    "an output without its bytes": (content("model_version", None), "without its bytes"),
    "too few bytes": (content("features", b"\0" * 299), "299 bytes"),
    "too many integers": (content("model_version", b"\0" * 32), "32 bytes"),
    "texts cut short": (content("status", pack_texts(["OK"] * 3)[:-1]), "past the end"),
    "too many texts": (content("status", pack_texts(["OK"] * 4)), "4 texts"),
    "no UTF-8": (content("status", b"\x02\0\0\0\xff\xff" * 3), "not UTF-8"),
    "an output that comes twice": (
        lambda outputs: outputs.append(outputs[3]),
        "probability comes twice",
    ),
    "a status that nobody knows": (content("status", pack_texts(["OK", "FINE", "OK"])), "FINE"),
}


@pytest.mark.parametrize(("change", "reason"), BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
async def test_an_answer_that_does_not_fit_is_none(
    predictor: TritonPredictor, triton: HttpTriton, change: Change, reason: str
) -> None:
    triton.change = change
    with pytest.raises(PredictorUnavailableError, match=reason):
        await predictor.predict(ASKS, 60.0)
    triton.change = lambda outputs: None
    assert len(await predictor.predict(ASKS, 60.0)) == 3


async def test_a_response_to_another_request_is_refused(
    predictor: TritonPredictor, triton: HttpTriton
) -> None:
    triton.id = "0"
    with pytest.raises(PredictorUnavailableError, match="to request '0'"):
        await predictor.predict(ASKS, 60.0)
    triton.id = ""
    assert len(await predictor.predict(ASKS, 60.0)) == 3


HEADER = b'{"id":"","outputs":[{"name":"a","datatype":"FP32","shape":[3,1],"parameters":%s}]}'
NOTHING = b'{"id":"","outputs":[]}'
LENGTH = "Inference-Header-Content-Length: "
NO_INFERENCES = {
    "no header": (http(200, b"{}"), "not an inference"),
    "a length that is no number": (http(200, b"{}", LENGTH + "two\r\n"), "not an inference"),
    "a header that is no JSON": (http(200, b"{]", LENGTH + "2\r\n"), "not an inference"),
    "a header without end": (
        http(200, b'{"x":' + b"[" * 9999, LENGTH + "10004\r\n"),
        "not an inference",
    ),
    "a header without outputs": (http(200, b"{}", LENGTH + "2\r\n"), "not an inference"),
    "more bytes than there are": (
        http(200, HEADER % b'{"binary_data_size":9}', LENGTH + f"{len(HEADER) + 20}\r\n"),
        "without its bytes",
    ),
    "fewer than none": (
        http(200, HEADER % b'{"binary_data_size":-9}', LENGTH + f"{len(HEADER) + 21}\r\n"),
        "without its bytes",
    ),
    "a signed length": (http(200, b"{}", LENGTH + "-2\r\n"), "not an inference"),
    "a length with an underscore": (http(200, b"{}" * 9, LENGTH + "1_0\r\n"), "not an inference"),
    "a length beyond the body": (http(200, b"{}", LENGTH + "3\r\n"), "not an inference"),
    "bytes of no output": (
        http(200, NOTHING + b".", LENGTH + f"{len(NOTHING)}\r\n"),
        "1 bytes belong to no",
    ),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", "not an HTTP response"),
}


@pytest.mark.parametrize(("raw", "reason"), NO_INFERENCES.values(), ids=NO_INFERENCES.keys())
async def test_what_is_no_inference_is_no_answer(
    predictor: TritonPredictor,
    triton: HttpTriton,
    monkeypatch: pytest.MonkeyPatch,
    raw: bytes,
    reason: str,
) -> None:
    monkeypatch.setattr("gateway.triton.predictor._request_ids", itertools.repeat(""))
    triton.raw = raw
    with pytest.raises(PredictorUnavailableError, match=reason) as caught:
        await predictor.predict(ASKS, 60.0)
    assert type(caught.value) is PredictorUnavailableError
    triton.raw = None
    assert len(await predictor.predict(ASKS, 60.0)) == 3


NOT_FOUND = "Request for unknown model: 'predict_fp32' is not found"
NO_VERSIONS = "Request for unknown model: 'predict_fp32' has no available versions"


@pytest.mark.parametrize(
    ("variant", "failure", "expected"),
    [
        ("fp32", (503, "Stub process 'features_0_0' is not healthy."), PredictorAwayError),
        ("fp32", (500, "onnx runtime error"), PredictorUnavailableError),
        ("fp32", (400, "unexpected shape"), PredictorUnavailableError),
        ("fp32", (499, ""), PredictorAwayError),
        ("fp32", (501, ""), PredictorUnavailableError),
        ("fp32", (429, ""), PredictorOverloadedError),
        ("fp32", (503, "Exceeds maximum queue size"), PredictorOverloadedError),
        ("fp32", (404, NOT_FOUND), VariantUnavailableError),
        ("fp32", (400, NO_VERSIONS), VariantUnavailableError),
        ("gpu", (404, NOT_FOUND.replace("fp32", "gpu")), GpuAbsentError),
        ("gpu", (404, NO_VERSIONS.replace("fp32", "gpu")), VariantUnavailableError),
    ],
)
async def test_every_http_status_is_an_error_of_ours(
    predictor: TritonPredictor,
    triton: HttpTriton,
    variant: Variant,
    failure: tuple[int, str],
    expected: type[PredictorError],
) -> None:
    triton.failure = failure
    with pytest.raises(PredictorError) as caught:
        await predictor.predict([PredictionQuery("500325", "2026-08-14", variant)], 60.0)
    assert type(caught.value) is expected
    assert "{}: {}".format(*failure) in str(caught.value) or expected is GpuAbsentError


@pytest.mark.parametrize(
    "body",
    [b"<h1>Bad \xffGateway</h1>", b'{"error":"\xff"}', b'{"x":' + b"[" * 9999],
    ids=["HTML", "not UTF-8", "without end"],
)
async def test_a_refusal_without_json_is_told_as_it_came(
    predictor: TritonPredictor, triton: HttpTriton, body: bytes
) -> None:
    triton.raw = http(502, body)
    with pytest.raises(
        PredictorUnavailableError, match=re.escape("502: " + body[:8].decode(errors="replace"))
    ):
        await predictor.predict(ASKS, 60.0)


async def test_a_deadline_ends_the_request_in_triton_too(
    predictor: TritonPredictor, triton: HttpTriton
) -> None:
    await predictor.predict(ASKS, 60.0)
    triton.delay_s = 600.0
    with pytest.raises(DeadlineExceededError, match="50 ms"):
        await predictor.predict(ASKS, 0.05)
    await until(lambda: triton.cancelled)  # the server reads that nobody waits any more


async def test_a_deadline_that_is_over_asks_nobody(
    predictor: TritonPredictor, triton: HttpTriton
) -> None:
    await predictor.predict(ASKS, 60.0)
    for timeout_s in (0.0, -0.1):
        with pytest.raises(DeadlineExceededError):
            await predictor.predict(ASKS, timeout_s)
    assert len(await predictor.predict(ASKS, 60.0)) == 3


async def test_a_caller_who_leaves_takes_its_request_along(
    predictor: TritonPredictor, triton: HttpTriton
) -> None:
    triton.delay_s = 600.0
    task = asyncio.create_task(predictor.predict(ASKS, 60.0))
    await until(lambda: triton.requests)
    task.cancel()
    await until(lambda: triton.cancelled)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_answer_that_comes_late_is_nobody_elses(
    predictor: TritonPredictor, triton: HttpTriton
) -> None:
    await predictor.predict(ASKS, 60.0)
    triton.delay_s = 0.1
    triton.change = content("probability", struct.pack("<3f", 0.75, 0.75, 0.75))
    with pytest.raises(DeadlineExceededError):
        await predictor.predict(ASKS, 0.05)
    triton.delay_s = 0.0
    triton.change = lambda outputs: None
    for _ in range(5):
        assert (await predictor.predict(ASKS, 60.0))[0].probability == 0.25
        await asyncio.sleep(0.03)


async def test_a_server_that_comes_back_is_used_again_soon(
    predictor: TritonPredictor, triton: HttpTriton
) -> None:
    await predictor.predict(ASKS, 60.0)
    await triton.stop()
    for _ in range(5):
        with pytest.raises(PredictorAwayError):
            await predictor.predict(ASKS, 60.0)
    await triton.start()
    assert len(await predictor.predict(ASKS, 60.0)) == 3


async def test_a_server_that_hangs_up_is_away(
    predictor: TritonPredictor, triton: HttpTriton
) -> None:
    triton.hangs_up = True
    with pytest.raises(PredictorAwayError, match="connection ended"):
        await predictor.predict(ASKS, 60.0)


@pytest.mark.parametrize("host", ["localhost", "nobody.invalid"])
async def test_a_server_that_cannot_be_reached_is_away(host: str) -> None:
    (port,) = free_ports(1)
    settings = load_settings(triton_host=host, triton_http_port=port)
    predictor = TritonPredictor.from_settings(settings)
    with pytest.raises(PredictorAwayError):
        await predictor.predict(ASKS, 60.0)
    await predictor.close()


async def test_connections_live_as_long_as_is_configured(
    triton: HttpTriton, skip: Callable[[float], None]
) -> None:
    for age_s, connections in ((300, 2), (0, 1)):
        before = triton.connections
        predictor = TritonPredictor.from_settings(
            load_settings(
                triton_host="127.0.0.1",
                triton_http_port=triton.port,
                triton_max_connection_age_s=age_s,
            )
        )
        await predictor.predict(ASKS, 60.0)
        skip(301)
        await predictor.predict(ASKS, 60.0)
        assert triton.connections - before == connections
        await predictor.close()
