"""A predictor with a cache before it: by stock, day, version and variant."""

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import cast

from gateway.errors import PredictorError, PredictorUnavailableError
from gateway.ports import Answer, Ask, Predictor
from gateway.versions import VersionBook
from preprocess.async_cache_manager import AsyncCacheManager
from preprocess.cache.codec import encode
from preprocess.cache.keys import prediction_key
from preprocess.cache.outcome import Uncached
from preprocess.errors import CacheError
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.features.row import Status

# float32 as Triton gives them: 100 bytes, and a NaN stays one.
_FEATURES = struct.Struct(f"<{FEATURE_COUNT}f")

_Value = tuple[str, str, float, bytes]
"""Digest of the graph, as-of date, probability, features."""
_FOUR = b"\x94"  # msgpack's head of an array of four


class CachedPredictor:
    """Answers what is cached, and asks the inner predictor once for all the rest of a call.

    Held are predictions alone: a refusal costs Triton little, and strangers' codes would fill the
    cache. An answer by another version than the one that was asked is given and not held. A value
    names the graph that computed it: that of another graph is a miss, as when a data folder was
    made anew and begins with version 1 again.
    """

    def __init__(
        self,
        inner: Predictor,
        cache: AsyncCacheManager,
        versions: VersionBook,
        *,
        ttl_s: float,
        timeout_s: float,
        usable: Callable[[], bool],
    ) -> None:
        """Predictions live for `ttl_s`. While the cache is not `usable` it is not asked.

        A computation gets `timeout_s` at least, however little time the caller has who began it:
        others may wait for it.
        """
        self._inner = inner
        self._cache = cache
        self._versions = versions
        self._ttl_s = ttl_s
        self._timeout_s = timeout_s
        self._usable = usable

    async def predict(
        self, asks: Sequence[Ask], timeout_s: float
    ) -> Sequence[Answer | PredictorError]:
        """One answer or error for each ask; `cached` says whether the cache held it."""
        digest = self._digest(asks[0])
        if digest is None or not self._usable():
            return await self._inner.predict(asks, timeout_s)
        keys = [_key(ask) for ask in asks]
        of_key = dict(zip(keys, asks, strict=True))

        async def compute(missing: Sequence[str]) -> Mapping[str, object]:
            answers = await self._inner.predict(
                [of_key[key] for key in missing], max(timeout_s, self._timeout_s)
            )
            return {
                key: _value(of_key[key], answer, digest)
                for key, answer in zip(missing, answers, strict=True)
            }

        beginning = _beginning(digest)

        def accepts(_key: str, body: bytes) -> bool:
            return body.startswith(beginning)

        fetched = await self._cache.fetch_many(keys, compute, self._ttl_s, accepts=accepts)
        found: dict[str, Answer | PredictorError] = {
            key: _as_predictor_error(error) for key, error in fetched.errors.items()
        }
        for key, value in fetched.values.items():
            found[key] = _answer(value, of_key[key], held=key in fetched.held)
        return [found[key] for key in keys]

    def _digest(self, ask: Ask) -> str | None:
        """What tells this version's graph from another's; None if the version is not known."""
        version = self._versions.get(ask.version)
        graph = None if version is None else version.variants.get(ask.variant)
        return None if graph is None else graph.sha256[:16]


@lru_cache(maxsize=64)
def _beginning(digest: str) -> bytes:
    """The bytes with which a value of this graph begins."""
    return _FOUR + encode("", digest)


def _as_predictor_error(error: Exception) -> PredictorError:
    if isinstance(error, PredictorError):
        return error
    if isinstance(error, CacheError):
        return PredictorUnavailableError(f"the cache: {error}")
    raise error


def _key(ask: Ask) -> str:
    return prediction_key(ask.bse_code, ask.prediction_date, ask.version or 0, ask.variant)


def _value(ask: Ask, answer: Answer, digest: str) -> _Value | Uncached:
    if (
        answer.status is not Status.OK
        or answer.as_of is None
        or answer.model_version != ask.version
    ):
        return Uncached(answer)
    return digest, answer.as_of, answer.probability, _FEATURES.pack(*answer.features)


def _answer(value: object, ask: Ask, *, held: bool) -> Answer:
    if isinstance(value, Answer):
        return value
    _, as_of, probability, features = cast("_Value", value)
    return Answer(
        status=Status.OK,
        as_of=as_of,
        probability=probability,
        model_version=cast("int", ask.version),
        features=_FEATURES.unpack(features),
        cached=held,
    )
