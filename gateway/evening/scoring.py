"""Sends stocks to the ensemble of one version, several batches at a time."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, NamedTuple

import grpc
import numpy as np
from tritonclient.grpc.aio import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from preprocess.errors import EveningError

# Measured: docs/decisions/0012-evening-transport.md.
BATCH_ROWS = 128

# gRPC itself retries a batch while Triton is unavailable: five attempts with pauses that double
# from FIRST_PAUSE_S, about six seconds. A Triton that `tezi up` restarts is back by then.
ATTEMPTS = 5
FIRST_PAUSE_S = 0.4
DEADLINE_S = 30.0

# Not the features: they would be three quarters of the response.
_OUTPUTS = ("status", "as_of", "probability", "model_version")

Advance = Callable[[int, int], None]


class EnsembleRow(NamedTuple):
    """Triton's result for one stock; `as_of` is the ISO date of the newest price used."""

    bse_code: str
    status: str
    as_of: str
    probability: float


async def score(
    address: str,
    ensemble: str,
    codes: Sequence[str],
    day: date,
    *,
    version: int,
    advance: Advance,
) -> list[EnsembleRow]:
    """One row for each code, in their order. `advance` is called with (done, total) stocks.

    `address` is host:port of Triton's gRPC service; its rows must name `version`.

    Raises:
        EveningError: a batch got no usable response.
    """
    rows: list[EnsembleRow] = []
    advance(0, len(codes))
    async with InferenceServerClient(address, channel_args=_channel_args()) as client:
        for start in range(0, len(codes), BATCH_ROWS):
            began = time.monotonic()
            rows += await _infer(client, ensemble, codes[start : start + BATCH_ROWS], day, version)
            advance(len(rows), len(codes))
            # Half of the time belongs to the requests of others.
            await asyncio.sleep(time.monotonic() - began)
    return rows


async def _infer(
    client: InferenceServerClient, ensemble: str, codes: Sequence[str], day: date, version: int
) -> list[EnsembleRow]:
    count = len(codes)
    inputs = [
        _texts("bse_code", [code.encode() for code in codes]),
        _texts("prediction_date", [day.isoformat().encode()] * count),
    ]
    outputs = [InferRequestedOutput(name) for name in _OUTPUTS]
    try:
        result = await client.infer(ensemble, inputs, outputs=outputs, client_timeout=DEADLINE_S)
    except (InferenceServerException, grpc.RpcError) as error:
        raise EveningError(
            f"{ensemble} of Triton does not answer: {error}. Nothing was written: run the same "
            "command again when Triton is up (`tezi up`)."
        ) from None
    columns = [result.as_numpy(name) for name in _OUTPUTS]
    if any(column is None or column.shape != (count, 1) for column in columns):
        raise EveningError(f"{ensemble} of Triton does not answer with one row for each stock.")
    status, as_of, probability, versions = (column[:, 0] for column in columns)
    if (versions != version).any():
        raise EveningError(f"{ensemble} of Triton answers with version {versions.max()}.")
    rows = zip(codes, status.tolist(), as_of.tolist(), probability.tolist(), strict=True)
    return [
        EnsembleRow(code, word.decode(), when.decode(), value) for code, word, when, value in rows
    ]


def _texts(name: str, values: list[bytes]) -> InferInput:
    tensor = InferInput(name, [len(values), 1], "BYTES")
    tensor.set_data_from_numpy(np.array(values, dtype=np.object_)[:, np.newaxis])
    return tensor


def _channel_args() -> list[tuple[str, Any]]:
    retry = {
        "maxAttempts": ATTEMPTS,
        "initialBackoff": f"{FIRST_PAUSE_S}s",
        "maxBackoff": "5s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    config = {
        # A name may resolve to several Tritons.
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [{"name": [{}], "retryPolicy": retry}],
    }
    return [
        ("grpc.service_config", json.dumps(config)),
        # gRPC would wait up to two minutes to reconnect; Triton restarts in seconds.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 500),
        # Triton is on this machine or network; a proxy of the environment does not apply.
        ("grpc.enable_http_proxy", 0),
    ]
