"""Sends the golden row to a running Triton, as any gRPC client would."""

import math

import grpc
import numpy as np
from tritonclient.grpc.aio import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from preprocess.errors import DatabaseAwayError, ModelError, ServerError
from preprocess.features.row import Status
from preprocess.market.golden_row import disagreement
from preprocess.models.names import DEFAULT_VARIANT, Variant, ensemble_name
from preprocess.repository.versions import ModelVersion, read_version
from preprocess.settings import Settings


class GoldenCheck:
    """A call that succeeds only if the whole ensemble gives the right result."""

    def __init__(
        self,
        settings: Settings,
        known: ModelVersion,
        *,
        variant: Variant = DEFAULT_VARIANT,
        version: int | None = None,
    ) -> None:
        """`known` has the request; the expected result is that of the version in the response.

        The request goes to the ensemble of `version`, or to the one of the stable version.
        """
        self._address = settings.triton_grpc_address
        self._versions_dir = settings.versions_dir
        self._known = known
        self._variant = variant
        self._version = version

    async def __call__(self, timeout_s: float) -> int:
        """The version that computed the result.

        Raises:
            TimeoutError: no result within `timeout_s`.
            DatabaseAwayError: Triton cannot read the market.
            ServerError: another error, or a wrong result.
        """
        try:
            return await self._infer(timeout_s)
        except InferenceServerException as error:
            if error.status() == str(grpc.StatusCode.DEADLINE_EXCEEDED):
                raise TimeoutError(f"no result within {timeout_s:g} s") from None
            raise ServerError(f"Triton refused the golden row: {error.message()}") from None
        except grpc.RpcError as error:
            raise ServerError(f"Triton returned no result for the golden row: {error}") from None

    async def _infer(self, timeout_s: float) -> int:
        golden = self._known.golden
        request = [
            _text("bse_code", golden.bse_code),
            _text("prediction_date", golden.prediction_date),
        ]
        name = ensemble_name(self._variant, self._version)
        # A new channel each time: one that waits to reconnect would report an old error.
        async with InferenceServerClient(self._address) as client:
            result = await client.infer(name, request, client_timeout=timeout_s)
        status = result.as_numpy("status")[0, 0].decode()
        if status != Status.OK:
            kind = DatabaseAwayError if status == Status.STORE_UNAVAILABLE else ServerError
            raise kind(f"The golden row came back with status {status}.")
        number = int(result.as_numpy("model_version")[0, 0])
        if self._version is not None and number != self._version:
            raise ServerError(f"{name} returns results of version {number}.")
        try:
            expected = self._description(number)
            graph = expected.variants[self._variant]
        except (ModelError, KeyError) as error:
            raise ServerError(f"The result names version {number}, but {error}") from None
        features = [
            None if math.isnan(value) else float(value) for value in result.as_numpy("features")[0]
        ]
        difference = disagreement(
            expected.golden.features,
            graph.golden_probability,
            features,
            float(result.as_numpy("probability")[0, 0]),
        )
        if difference:
            raise ServerError(f"The golden row came back wrong: {difference}.")
        return number

    def _description(self, number: int) -> ModelVersion:
        if number == self._known.model_version:
            return self._known
        return read_version(self._versions_dir, number)


def _text(name: str, value: str) -> InferInput:
    tensor = InferInput(name, [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[value.encode()]], dtype=np.object_))
    return tensor
