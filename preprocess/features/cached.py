"""Feature rows that were computed before, by this process or by another on the same Redis.

A row is stored with the place in the market's change log up to which it is right. It is answered
only by a market that knows of no later change of its stock, and such a market knows of every
commit that was there before the request. So a commit makes old rows useless by itself, whether
anybody has been told of it or not; invalidations, as of an administrator, come on top.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import msgspec
import numpy as np

from preprocess.cache.keys import features_key
from preprocess.cache_manager import CacheManager
from preprocess.calendar import from_day_number
from preprocess.features.batch import BatchRows
from preprocess.features.manifest import FEATURE_COUNT, feature_hash
from preprocess.features.row import Status
from preprocess.features.wire import Float32s, WireRows
from preprocess.market import Days, Mark

_VALUES = np.dtype("<f4")
_SIZE = FEATURE_COUNT * _VALUES.itemsize
_OK = Status.OK.encode()
_DECODER = msgspec.msgpack.Decoder(tuple[int, str, bytes, bytes])


class Market(Protocol):
    """What is needed of a market: its rows, and which of them have changed."""

    @property
    def mark(self) -> Mark: ...

    def knows(self, code: bytes) -> bool: ...

    def is_current(self, code: bytes, mark: Mark) -> bool: ...

    def rows(self, codes: Sequence[bytes], days: Days) -> BatchRows: ...


@dataclass(frozen=True, slots=True)
class CachedRow:
    """A row that is OK: values float32 [25], the day of its newest price, and since when right."""

    mark: Mark
    as_of: bytes
    values: Float32s

    @property
    def value(self) -> tuple[int, str, bytes, bytes]:
        """As the cache keeps it."""
        values = self.values.astype(_VALUES, copy=False).tobytes()
        return self.mark.sequence, self.mark.token, self.as_of, values

    @classmethod
    def of(cls, body: bytes) -> Self | None:
        """Out of the cache's bytes; None if they are no row."""
        try:
            sequence, token, as_of, values = _DECODER.decode(body)
        except msgspec.DecodeError:
            return None
        if len(values) != _SIZE:
            return None
        return cls(Mark(sequence, token), as_of, np.frombuffer(values, dtype=_VALUES))


class CachedRows:
    """Rows of a market by way of a cache: one question to it a call, and one write.

    Kept are rows that are OK. The others take next to nothing to find out, and names that nobody
    has could be made up without end.
    """

    def __init__(self, cache: CacheManager, *, ttl_s: float) -> None:
        """Rows are kept for `ttl_s` seconds at most."""
        self._cache = cache
        self._ttl_s = ttl_s
        self._names = feature_hash()

    def warm_up(self) -> None:
        """Find Redis before the first request has to wait for it."""
        self._cache.get_many([])

    def rows(self, market: Market, codes: Sequence[bytes], days: Days) -> WireRows:
        """The rows of stocks as of day numbers, in order.

        `market` is to be up to date with what was committed before the request.

        Raises:
            StoreError: the market cannot read its database.
        """
        keys = self._keys(market, codes, days)
        asked: dict[str, bytes] = {
            key: code for key, code in zip(keys, codes, strict=True) if key is not None
        }
        held: dict[str, CachedRow] = {}

        def accepts(key: str, body: bytes) -> bool:
            row = CachedRow.of(body)
            if row is None or not market.is_current(asked[key], row.mark):
                return False
            held[key] = row
            return True

        lookup = self._cache.get_many(list(asked), accepts=accepts)
        out = WireRows.empty(len(codes))
        lacking = []
        for place, key in enumerate(keys):
            if key is None or key not in lookup.bodies:
                lacking.append(place)
            else:
                row = held[key]
                out.values[place], out.as_of[place], out.status[place] = row.values, row.as_of, _OK
        if lacking:
            found = WireRows.of(market.rows([codes[place] for place in lacking], days[lacking]))
            out.put(lacking, found)
            fresh = self._fresh(market.mark, [keys[place] for place in lacking], found)
            self._cache.set_many(fresh, self._ttl_s, since=lookup)
        return out

    def close(self) -> None:
        """Let go of the cache."""
        self._cache.close()

    def _keys(self, market: Market, codes: Sequence[bytes], days: Days) -> list[str | None]:
        """A key for each row; None where the market has no such stock."""
        return [
            features_key(code.decode(), from_day_number(day), self._names)
            if market.knows(code)
            else None
            for code, day in zip(codes, days.tolist(), strict=True)
        ]

    @staticmethod
    def _fresh(mark: Mark, keys: Sequence[str | None], found: WireRows) -> Mapping[str, object]:
        return {
            key: CachedRow(mark, found.as_of[place], found.values[place]).value
            for place, key in enumerate(keys)
            if key is not None and found.status[place] == _OK
        }
