"""Health probes: a golden row is sent through the whole ensemble of a variant at intervals.

An open port or a server that reports itself ready proves nothing: both remain while every inference
fails.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import structlog

from gateway.catalog.routing import Router
from gateway.catalog.versions import ModelCatalog
from gateway.errors import (
    DeadlineExceededError,
    GpuAbsentError,
    PredictorError,
    PredictorOverloadedError,
)
from gateway.ports import Clock, InferenceResult, PredictionQuery, Predictor
from preprocess.features.row import Status
from preprocess.market.golden_row import disagreement
from preprocess.models.names import Variant
from preprocess.repository.versions import ModelVersion

log = structlog.get_logger()

TIMEOUT_S = 2.0


class Finding(StrEnum):
    """The result of the newest probe, in words that a client may read."""

    PENDING = "not probed yet"
    ABSENT = "no version is published"
    NO_GPU = "no GPU"
    RIGHT = "the golden row comes back right"
    BUSY = "the model server's queue is full"
    LATE = "the golden row comes back late"
    FAILED = "the golden row does not come back"
    NO_DATABASE = "the market database cannot be read"
    WRONG = "the golden row comes back wrong"


@dataclass(frozen=True, slots=True)
class ProbeState:
    """The newest probe, and the version that gave the newest correct result."""

    finding: Finding
    checked_at: datetime | None = None
    latency_ms: float | None = None
    model_version: int | None = None


Found = tuple[Finding, int | None, str]
"""The finding, the version that answered correctly, and a reason for the log."""


class Probe:
    """Probes one variant. Its predictor must bypass the queue of requests."""

    def __init__(
        self,
        variant: Variant,
        *,
        predictor: Predictor,
        versions: ModelCatalog,
        router: Router,
        interval_s: float,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
        on_wrong: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`interval_s` is the pause between two probes. A correct result counts for three of them.

        `on_wrong` is awaited when wrong results begin, and when they have ended: results from
        the time between must not be trusted.
        """
        self.variant = variant
        self.state = ProbeState(Finding.PENDING)
        self._predictor = predictor
        self._versions = versions
        self._router = router
        self._valid_s = 3 * interval_s + TIMEOUT_S
        self._clock = clock
        self._monotonic = monotonic
        self._on_wrong = on_wrong
        self._last_right: float | None = None
        self.without_gpu = False
        """Whether the variant lacks its GPU, as far as Triton has last said."""

    @property
    def passing(self) -> bool:
        """Whether the variant gives correct results now.

        A full queue says nothing about the results: then the age of the last correct one counts.
        Any other finding that is not a correct result counts at once.
        """
        if self.state.finding not in (Finding.RIGHT, Finding.BUSY) or self._last_right is None:
            return False
        return self._monotonic() - self._last_right < self._valid_s

    @property
    def wrong(self) -> bool:
        """Whether the newest probe shows that results must not be trusted."""
        return self.state.finding is Finding.WRONG

    async def __call__(self) -> None:
        """Probe once."""
        began = self._monotonic()
        finding, version, reason = await self._find()
        ended = self._monotonic()
        if finding is Finding.RIGHT:
            self._last_right = ended
        if finding in (Finding.RIGHT, Finding.NO_GPU):
            self.without_gpu = finding is Finding.NO_GPU
        was_wrong = self.wrong
        if finding is not self.state.finding:
            self._report(finding, reason)
        self.state = ProbeState(
            finding=finding,
            checked_at=self._clock(),
            latency_ms=(ended - began) * 1e3 if finding is Finding.RIGHT else None,
            model_version=version or self.state.model_version,
        )
        if self.wrong is not was_wrong and self._on_wrong is not None:
            await self._on_wrong()

    def _report(self, finding: Finding, reason: str) -> None:
        expected = finding in (Finding.RIGHT, Finding.ABSENT, Finding.NO_GPU)
        # A gateway is up before its Triton: until then there is nothing to warn of.
        starting = finding is Finding.FAILED and self._last_right is None
        say = log.info if expected or starting else log.warning
        say(finding.value, variant=self.variant, reason=reason)

    async def _find(self) -> Found:
        stable = self._versions.get(self._router.labels.stable)
        if stable is None or self.variant not in stable.variants:
            return Finding.ABSENT, None, ""
        golden = stable.golden
        query = PredictionQuery(
            golden.bse_code, golden.prediction_date, self.variant, version=stable.model_version
        )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                [result] = await self._predictor.predict([query], TIMEOUT_S)
                version = await self._versions.look_up(self.variant, result.model_version)
        except (TimeoutError, DeadlineExceededError):
            return Finding.LATE, None, f"not within {TIMEOUT_S:g} s"
        except PredictorOverloadedError as error:
            return Finding.BUSY, None, str(error)
        except GpuAbsentError as error:
            return Finding.NO_GPU, None, str(error)
        except PredictorError as error:
            return Finding.FAILED, None, str(error)
        return _judged(self.variant, result, version)


def _judged(variant: Variant, result: InferenceResult, version: ModelVersion | None) -> Found:
    if result.status is Status.STORE_UNAVAILABLE:
        return Finding.NO_DATABASE, None, result.status
    if result.status is not Status.OK:
        return Finding.WRONG, None, f"status {result.status}"
    if version is None:
        return Finding.WRONG, None, f"version {result.model_version} is not published"
    golden = version.golden
    difference = disagreement(
        golden.features,
        version.variants[variant].golden_probability,
        result.features,
        result.probability,
    )
    if difference:
        return Finding.WRONG, None, difference
    return Finding.RIGHT, version.model_version, ""
