"""The configuration of a cache, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from gateway.cache.keys import KINDS, Kind
from preprocess.settings import Settings

_TTLS: Mapping[Kind, float] = {"features": 300.0, "predictions": 3600.0, "queries": 300.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Times are in seconds, sizes in bytes.

    `redis_url` empty: no Redis. `folder` None: no other process of this machine hears of clears.
    """

    redis_url: str = field(default="", repr=False)
    folder: Path | None = None
    kinds: frozenset[Kind] = frozenset(KINDS)
    ttls: Mapping[Kind, float] = field(default_factory=lambda: _TTLS)
    local_entries: int = 1_000
    local_bytes: int = 64 * 1024 * 1024
    local_ttl_s: float = 60.0
    # A larger value is not cached: it would evict everything else.
    largest: int = 4 * 1024 * 1024
    # TTLs are shortened by up to this share, so that values do not all expire together.
    jitter: float = 0.1
    timeout_s: float = 0.05
    retry_s: float = 30.0
    # The local tier answers only for so long after Redis was polled for clears; a clear waits
    # as long.
    lease_s: float = 0.5
    renew_s: float = 0.2
    # Of several caches of a process one says that Redis comes and goes.
    warns: bool = True

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The plan of these settings."""
        return cls(
            redis_url=settings.redis_url,
            folder=settings.cache_dir,
            kinds=frozenset(KINDS) - _switched_off(settings),
            ttls={
                **_TTLS,
                "predictions": settings.cache_predictions_ttl_s,
                "features": settings.cache_features_ttl_s,
                "queries": settings.cache_queries_ttl_s,
            },
            local_entries=settings.cache_local_entries,
            local_bytes=settings.cache_local_mb * 1024 * 1024,
            local_ttl_s=settings.cache_local_ttl_s,
            timeout_s=settings.redis_timeout_ms / 1000.0,
            retry_s=settings.redis_retry_s,
        )


def _switched_off(settings: Settings) -> set[Kind]:
    switches: dict[Kind, bool] = {
        "predictions": settings.cache_predictions,
        "features": settings.cache_features,
        "queries": settings.cache_queries,
    }
    return {kind for kind, is_on in switches.items() if not is_on}
