"""The error tree of gateway/. Messages are for logs; clients read those in api/problems.py."""

from typing import Any


class GatewayError(Exception):
    """Base of every error that the gateway raises on purpose."""


class PredictorError(GatewayError):
    """The model server returned no usable result. The request itself may be fine."""


class PredictorUnavailableError(PredictorError):
    """It cannot be reached, it failed, or its result cannot be correct."""


class PredictorAwayError(PredictorUnavailableError):
    """It cannot be reached, or has just stopped."""


class PredictorOverloadedError(PredictorError):
    """Its queue, or our own queue in front of it, is full."""


class VariantUnavailableError(PredictorError):
    """It is running but does not serve the requested variant."""


class GpuAbsentError(VariantUnavailableError):
    """The requested variant needs a GPU, and its machine has none."""


class StoreUnavailableError(PredictorError):
    """It is running but cannot read the market database."""


class DeadlineExceededError(PredictorError):
    """The caller's deadline passed before there was a result."""


class NotAuthenticatedError(GatewayError):
    """An admin call without a token."""


class NotAllowedError(GatewayError):
    """An admin call with a wrong token, or while admin calls are disabled."""


class UnknownVersionError(GatewayError):
    """An admin call for a version that is not published; the message is for the caller."""


class ChangeRefusedError(GatewayError):
    """A change of versions that was refused; the message is for the caller."""


class ReadOnlyError(GatewayError):
    """A change that cannot be written to disk; the message is for the caller."""


class SlowBodyError(GatewayError):
    """The body did not arrive before the caller's deadline."""


class CallerGoneError(GatewayError):
    """The caller hung up, so nobody reads the response."""


class MediaTypeError(GatewayError):
    """The content type is not JSON, or the body is compressed."""


class InvalidRequestError(GatewayError):
    """The request is invalid; `detail` lists the problems as the client reads them."""

    def __init__(self, detail: list[dict[str, Any]]) -> None:
        super().__init__(f"{len(detail)} problems")
        self.detail = detail
