"""The error tree of gateway/. Messages are for logs; what a client reads is in problems.py."""

from typing import Any


class GatewayError(Exception):
    """Base of every error that the gateway raises on purpose."""


class PredictorError(GatewayError):
    """The model server gave no answer that can be used. The request itself may be fine."""


class PredictorUnavailableError(PredictorError):
    """It cannot be reached, failed, or answered something that cannot be right."""


class PredictorAwayError(PredictorUnavailableError):
    """It cannot be reached, or has just ended."""


class PredictorOverloadedError(PredictorError):
    """Its queue, or ours in front of it, is full."""


class VariantUnavailableError(PredictorError):
    """It runs, and does not serve the variant that was asked for."""


class GpuAbsentError(VariantUnavailableError):
    """It runs on a machine without a GPU, and was asked for the variant that needs one."""


class StoreUnavailableError(PredictorError):
    """It runs, and could not read the market database."""


class DeadlineExceededError(PredictorError):
    """The time that the caller gives was spent before there was an answer."""


class NotAuthenticatedError(GatewayError):
    """An admin call without a token."""


class NotAllowedError(GatewayError):
    """An admin call with a token that is not the one, or where there are no admin calls."""


class UnknownVersionError(GatewayError):
    """An admin call for a version that is not published; the message is for the caller."""


class ChangeRefusedError(GatewayError):
    """A change of versions that was not made; the message is for the caller."""


class CallerGoneError(GatewayError):
    """The caller hung up; nobody reads an answer."""


class MediaTypeError(GatewayError):
    """The body is not said to be JSON."""


class InvalidRequestError(GatewayError):
    """The request breaks the contract; `detail` lists how, as the client reads it."""

    def __init__(self, detail: list[dict[str, Any]]) -> None:
        super().__init__(f"{len(detail)} problems")
        self.detail = detail
