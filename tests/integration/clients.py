"""The three ways to ask for a prediction: REST, Triton's HTTP, Triton's gRPC."""

from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
import tritonclient.grpc
import tritonclient.http

from preprocess.settings import Settings

Arrays = np.ndarray[Any, np.dtype[Any]]
Pairs = Sequence[tuple[str, str]]
OUTPUTS = ("features", "as_of", "status", "probability", "model_version")


def rest(settings: Settings, pairs: Pairs) -> list[dict[str, Any]]:
    """Batch answers of the gateway, with features."""
    answers: list[dict[str, Any]] = []
    for start in range(0, len(pairs), 100):
        items = [
            {"bse_code": code, "prediction_date": day, "include_features": True}
            for code, day in pairs[start : start + 100]
        ]
        response = httpx.post(
            f"{settings.http_url}/api/v1/batch_predict",
            json={"predictions": items},
            headers={"X-Request-Timeout-Ms": "30000"},
            timeout=40.0,
            trust_env=False,
        )
        assert response.status_code == 200, response.text
        answers += response.json()
    return answers


def triton_grpc(settings: Settings, pairs: Pairs) -> dict[str, Arrays]:
    """Outputs of predict_fp32 over gRPC, one row a pair."""
    with tritonclient.grpc.InferenceServerClient(settings.triton_grpc_address) as client:
        result = client.infer(
            "predict_fp32", _inputs(tritonclient.grpc, pairs), client_timeout=30.0
        )
        return {name: result.as_numpy(name) for name in OUTPUTS}


def triton_http(settings: Settings, pairs: Pairs) -> dict[str, Arrays]:
    """Outputs of predict_fp32 over HTTP, one row a pair."""
    address = f"{settings.triton_host}:{settings.triton_http_port}"
    with tritonclient.http.InferenceServerClient(address, network_timeout=30.0) as client:
        result = client.infer("predict_fp32", _inputs(tritonclient.http, pairs))
        return {name: result.as_numpy(name) for name in OUTPUTS}


def _inputs(module: Any, pairs: Pairs) -> list[Any]:
    tensors = []
    for column, name in enumerate(("bse_code", "prediction_date")):
        tensor = module.InferInput(name, [len(pairs), 1], "BYTES")
        values = [[pair[column].encode()] for pair in pairs]
        tensor.set_data_from_numpy(np.array(values, dtype=np.object_))
        tensors.append(tensor)
    return tensors
