"""Asks a running Triton for the golden row, as any gRPC client would."""

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
    """Calling it returns when the whole ensemble gave the right answer, and raises otherwise."""

    def __init__(
        self,
        settings: Settings,
        known: ModelVersion,
        *,
        variant: Variant = DEFAULT_VARIANT,
        version: int | None = None,
    ) -> None:
        """`known` gives the request; the expected answer is that of the version that answers.

        Asked is the ensemble of `version`, or the one that leads to the stable version.
        """
        self._address = settings.triton_grpc_address
        self._versions_dir = settings.versions_dir
        self._known = known
        self._variant = variant
        self._version = version

    async def __call__(self, timeout_s: float) -> int:
        """The version that answered.

        Raises:
            TimeoutError: no answer within `timeout_s`.
            DatabaseAwayError: it answers that it cannot read the market.
            ServerError: another error, or a wrong answer.
        """
        try:
            return await self._ask(timeout_s)
        except InferenceServerException as error:
            if error.status() == str(grpc.StatusCode.DEADLINE_EXCEEDED):
                raise TimeoutError(f"no answer within {timeout_s:g} s") from None
            raise ServerError(f"Triton refused the golden row: {error.message()}") from None
        except grpc.RpcError as error:
            raise ServerError(f"Triton did not answer the golden row: {error}") from None

    async def _ask(self, timeout_s: float) -> int:
        golden = self._known.golden
        request = [
            _text("bse_code", golden.bse_code),
            _text("prediction_date", golden.prediction_date),
        ]
        name = ensemble_name(self._variant, self._version)
        # A channel of its own each time: one that waits to reconnect would report old news.
        async with InferenceServerClient(self._address) as client:
            result = await client.infer(name, request, client_timeout=timeout_s)
        status = result.as_numpy("status")[0, 0].decode()
        if status != Status.OK:
            kind = DatabaseAwayError if status == Status.STORE_UNAVAILABLE else ServerError
            raise kind(f"The golden row came back with status {status}.")
        number = int(result.as_numpy("model_version")[0, 0])
        if self._version is not None and number != self._version:
            raise ServerError(f"{name} answers with version {number}.")
        try:
            expected = self._version_that_answered(number)
            graph = expected.variants[self._variant]
        except (ModelError, KeyError) as error:
            raise ServerError(f"The answer names version {number}, but {error}") from None
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

    def _version_that_answered(self, number: int) -> ModelVersion:
        if number == self._known.model_version:
            return self._known
        return read_version(self._versions_dir, number)


def _text(name: str, value: str) -> InferInput:
    tensor = InferInput(name, [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[value.encode()]], dtype=np.object_))
    return tensor
