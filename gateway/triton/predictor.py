"""The predictor that sends queries to Triton's ensembles `predict_<variant>` over HTTP."""

import asyncio
import itertools
from collections.abc import Sequence
from http import HTTPStatus

from gateway.errors import (
    DeadlineExceededError,
    GpuAbsentError,
    PredictorAwayError,
    PredictorError,
    PredictorOverloadedError,
    PredictorUnavailableError,
    VariantUnavailableError,
)
from gateway.ports import InferenceResult, PredictionQuery
from gateway.triton.http.addresses import Addresses, LookUp, name_look_up
from gateway.triton.http.connection import ProtocolError, Reply
from gateway.triton.http.inference import inference_message, inference_outputs, refusal
from gateway.triton.http.pool import ConnectionPool
from gateway.triton.tensors import TensorError, unpack_floats, unpack_ints, unpack_texts
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.features.row import Status
from preprocess.models.names import GPU_VARIANT, Variant, ensemble_name
from preprocess.settings import Settings

# nginx's status for a client that hung up, and Triton's for a cancelled request.
_CANCELLED = 499

# Of all requests of this process: a response that belongs to another one is noticed.
_request_ids = itertools.count(1)

_STATUSES = {status.value: status for status in Status}  # Status(word) takes five times longer


class TritonPredictor:
    """Sends requests to Triton over a pool of connections, which the first requests open."""

    # HTTP and not gRPC: half the processor time, three quarters of the latency for one row
    # (docs/decisions/0024-http-to-triton.md).

    def __init__(self, look_up: LookUp, *, name: str = "triton", max_age_s: float = 0.0) -> None:
        """`look_up` gives the endpoints; `name` is the Host header of requests."""
        self._name = name
        self._pool = ConnectionPool(Addresses(look_up, max_age_s=max_age_s), max_age_s=max_age_s)

    @classmethod
    def from_settings(cls, settings: Settings) -> "TritonPredictor":
        """A predictor for the configured Triton."""
        return cls(
            name_look_up(settings.triton_host, settings.triton_http_port),
            name=settings.triton_http_address,
            max_age_s=settings.triton_max_connection_age_s,
        )

    async def predict(
        self, queries: Sequence[PredictionQuery], timeout_s: float
    ) -> list[InferenceResult]:
        """One Triton request for all queries, which have the same variant and version.

        Raises:
            PredictorError: the subclass depends on the HTTP status, or the response does not match
                the queries.
        """
        request_id = str(next(_request_ids))
        message = inference_message(
            ensemble_name(queries[0].variant, queries[0].version),
            self._name,
            request_id,
            [query.bse_code for query in queries],
            [query.prediction_date for query in queries],
        )
        try:
            async with asyncio.timeout(timeout_s):
                reply = await self._pool.request(message)
        except TimeoutError:
            raise DeadlineExceededError(
                f"no response from Triton in {timeout_s * 1e3:g} ms"
            ) from None
        except ProtocolError as error:
            raise PredictorUnavailableError(f"Triton's response cannot be used: {error}") from None
        except OSError as error:
            raise PredictorAwayError(f"Triton cannot be reached: {error}") from None
        if reply.status != HTTPStatus.OK:
            raise _explained(reply, queries[0].variant)
        try:
            return _results(len(queries), inference_outputs(reply, request_id, len(queries)))
        except TensorError as error:
            raise PredictorUnavailableError(f"Triton's response cannot be used: {error}") from None

    async def close(self) -> None:
        """Close the connections once the requests in flight have their response."""
        await self._pool.close()


def _results(count: int, raw: dict[str, bytes]) -> list[InferenceResult]:
    features = unpack_floats(raw["features"], count * FEATURE_COUNT)
    return [
        InferenceResult(
            _row_status(status), as_of or None, probability, version, features[start:end]
        )
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


def _row_status(word: str) -> Status:
    try:
        return _STATUSES[word]
    except KeyError:
        raise TensorError(f"the status {word[:40]!r} is not known") from None


def _explained(reply: Reply, variant: Variant) -> PredictorError:
    status, text = reply.status, refusal(reply)[:300]
    message = f"Triton answers {status}: {text}"
    # Triton has no separate status for a full queue: it sends 503.
    if status == HTTPStatus.TOO_MANY_REQUESTS or "maximum queue size" in text:
        return PredictorOverloadedError(message)
    if status == HTTPStatus.NOT_FOUND or "unknown model" in text:
        # A model that was never loaded "is not found"; one that failed to load "has no versions".
        if variant == GPU_VARIANT and "is not found" in text:
            return GpuAbsentError(message)
        return VariantUnavailableError(message)
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, _CANCELLED):
        return PredictorAwayError(message)
    return PredictorUnavailableError(message)
