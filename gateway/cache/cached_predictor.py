"""A predictor behind a cache: by stock, day, version and variant."""

import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import msgspec

from gateway.cache.async_cache_manager import AsyncCacheManager
from gateway.cache.codec import MISS
from gateway.cache.keys import prediction_key
from gateway.cache.single_flight import MayCancel
from gateway.catalog.versions import ModelCatalog
from gateway.errors import DeadlineExceededError, PredictorError, PredictorUnavailableError
from gateway.ports import InferenceResult, PredictionQuery, Predictor
from preprocess.errors import CacheError
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.features.row import Status

# float32 as Triton gives them: 100 bytes, and a NaN stays one.
_FEATURES = struct.Struct(f"<{FEATURE_COUNT}f")

_Value = tuple[str, str, float, bytes]
"""Digest of the graph, as-of date, probability, features."""
_DECODER = msgspec.msgpack.Decoder(_Value)


class CachedPredictor:
    """Answers what is cached, with one call of the inner predictor for all the rest.

    Only predictions are cached: a refusal costs Triton little, and made-up codes would fill the
    cache. A result of another version than the requested one is returned, but not cached. A value
    names the graph that computed it: that of another graph is a miss, as when a new data folder
    begins with version 1 again.
    """

    def __init__(
        self,
        inner: Predictor,
        cache: AsyncCacheManager,
        versions: ModelCatalog,
        *,
        ttl_s: float,
        timeout_s: float,
        usable: Callable[[], bool],
        is_queued: MayCancel,
    ) -> None:
        """`ttl_s`: TTL of predictions. While it is not `usable`, the cache is bypassed.

        A computation gets at least `timeout_s`, even if the caller that began it has less: others
        may wait for it. One that nobody waits for any more is cancelled while it `is_queued`; later
        it ends, and its results are cached.
        """
        self._inner = inner
        self._cache = cache
        self._versions = versions
        self._ttl_s = ttl_s
        self._timeout_s = timeout_s
        self._usable = usable
        self._is_queued = is_queued

    async def predict(
        self, queries: Sequence[PredictionQuery], timeout_s: float
    ) -> Sequence[InferenceResult | PredictorError]:
        """One result or error for each query; `cached` says whether it was a hit."""
        began = time.monotonic()
        results = await self._predict(queries, timeout_s)
        late = [n for n, result in enumerate(results) if isinstance(result, DeadlineExceededError)]
        left = timeout_s - (time.monotonic() - began) if late else 0.0
        if left <= 0.0:
            return results
        # Another caller began the computation, and the time of that one was over.
        again = await self._predict([queries[n] for n in late], left)
        renewed = dict(zip(late, again, strict=True))
        return [renewed.get(n, result) for n, result in enumerate(results)]

    async def _predict(
        self, queries: Sequence[PredictionQuery], timeout_s: float
    ) -> Sequence[InferenceResult | PredictorError]:
        digest = self._digest(queries[0])
        if digest is None or not self._usable():
            return await self._inner.predict(queries, timeout_s)
        keys = [_key(query) for query in queries]
        of_key = dict(zip(keys, queries, strict=True))

        async def compute(missing: Sequence[str]) -> Mapping[str, object]:
            answers = await self._inner.predict(
                [of_key[key] for key in missing], max(timeout_s, self._timeout_s)
            )
            return dict(zip(missing, answers, strict=True))

        codec = _PredictionCodec(digest, queries[0].version or 0)
        fetched = await self._cache.fetch_many(
            keys, compute, self._ttl_s, codec=codec, may_cancel=self._is_queued
        )
        found: dict[str, InferenceResult | PredictorError] = {
            key: _as_predictor_error(error) for key, error in fetched.errors.items()
        }
        found |= cast("Mapping[str, InferenceResult]", fetched.values)
        return [found[key] for key in keys]

    def _digest(self, query: PredictionQuery) -> str | None:
        """Identifies this version's graph; None if the version is unknown."""
        version = self._versions.get(query.version)
        graph = None if version is None else version.variants.get(query.variant)
        return None if graph is None else graph.sha256[:16]


@dataclass(frozen=True, slots=True)
class _PredictionCodec:
    """How results of one version's graph are cached."""

    digest: str
    version: int

    def dump(self, _key: str, value: object) -> bytes | None:
        answer = cast("InferenceResult", value)
        if (
            answer.status is not Status.OK
            or answer.as_of is None
            or answer.model_version != self.version
        ):
            return None
        features = _FEATURES.pack(*answer.features)
        return msgspec.msgpack.encode((self.digest, answer.as_of, answer.probability, features))

    def load(self, key: str, body: bytes) -> object:
        try:
            digest, as_of, probability, features = _DECODER.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return MISS
        if (
            digest != self.digest
            or len(features) != _FEATURES.size
            or not 0.0 <= probability <= 1.0
            or not as_of <= key.split(":")[2]  # the day of `prediction_key`
        ):
            return MISS
        return InferenceResult(
            status=Status.OK,
            as_of=as_of,
            probability=probability,
            model_version=self.version,
            features=_FEATURES.unpack(features),
            cached=True,
        )


def _as_predictor_error(error: Exception) -> PredictorError:
    if isinstance(error, PredictorError):
        return error
    if isinstance(error, CacheError):
        return PredictorUnavailableError(f"the cache: {error}")
    raise error


def _key(query: PredictionQuery) -> str:
    return prediction_key(query.bse_code, query.prediction_date, query.version or 0, query.variant)
