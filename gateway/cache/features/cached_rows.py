"""Feature rows that were computed before, by this process or by another on the same Redis.

A row is stored with the position in the market's change log up to which it is right. It is used
only by a market that knows of no later change of its stock, and such a market knows of every
commit made before the request. So a commit makes old rows useless by itself, whether or not anyone
was told of it; an administrator's clears come on top.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, cast

import msgspec
import numpy as np

from gateway.cache.cache_manager import CacheManager
from gateway.cache.codec import MISS
from gateway.cache.keys import features_key
from preprocess.features.manifest import FEATURE_COUNT, feature_hash
from preprocess.features.row import Status
from preprocess.market.calendar import from_day_number
from preprocess.market.values import Days, Mark
from preprocess.serving.live import LiveMarket
from preprocess.serving.wire import Float32s, WireRows

_VALUES = np.dtype("<f4")
_SIZE = FEATURE_COUNT * _VALUES.itemsize
_OK = Status.OK.encode()
# The mark up to which the row is right (number, token), the day of its newest price, the values.
_Number = Annotated[int, msgspec.Meta(le=2**63 - 1)]  # what a database can be asked for
_DECODER = msgspec.msgpack.Decoder(tuple[_Number, str, bytes, bytes])

_Row = tuple[bytes, Float32s]


class _RowCodec:
    """Rows as they are cached, each current in one state of the market."""

    def __init__(self, market: LiveMarket, codes: Mapping[str, bytes]) -> None:
        self._market = market
        self._codes = codes

    def dump(self, _key: str, row: object) -> bytes:
        as_of, values = cast("_Row", row)
        mark = self._market.mark
        return msgspec.msgpack.encode(
            (mark.sequence, mark.token, as_of, values.astype(_VALUES, copy=False).tobytes())
        )

    def load(self, key: str, body: bytes) -> object:
        try:
            sequence, token, as_of, values = _DECODER.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return MISS
        if len(values) != _SIZE:
            return MISS
        if not self._market.is_current(self._codes[key], Mark(sequence, token)):
            return MISS
        return as_of, np.frombuffer(values, dtype=_VALUES)


class CachedRows:
    """Rows of a market through a cache: one lookup per call, and one write.

    Only rows that are OK are cached. The others cost next to nothing, and there is no end of
    made-up codes.
    """

    def __init__(self, cache: CacheManager, *, ttl_s: float) -> None:
        """Rows are cached for `ttl_s` seconds at most."""
        self._cache = cache
        self._ttl_s = ttl_s
        self._names = feature_hash()

    def warm_up(self) -> None:
        """Connect to Redis before the first request has to wait for it."""
        self._cache.get_many([])

    def rows(self, market: LiveMarket, codes: Sequence[bytes], days: Days) -> WireRows:
        """The rows of stocks as of day numbers, in order.

        `market` is to be up to date with what was committed before the request.

        Raises:
            StoreError: the market cannot read its database.
        """
        keys = [
            features_key(code.decode(), from_day_number(day), self._names)
            for code, day in zip(codes, days.tolist(), strict=True)
        ]
        known = {k: code for k, code in zip(keys, codes, strict=True) if market.knows(code)}
        codec = _RowCodec(market, known)
        lookup = self._cache.get_many(list(known), codec=codec)
        out = WireRows.empty(len(codes))
        lacking = []
        for index, key in enumerate(keys):
            row = lookup.values.get(key)
            if row is None:
                lacking.append(index)
            else:
                out.as_of[index], out.values[index] = cast("_Row", row)
                out.status[index] = _OK
        if lacking:
            out.put(lacking, WireRows.of(market.rows([codes[at] for at in lacking], days[lacking])))
            fresh = {
                keys[at]: (out.as_of[at], out.values[at])
                for at in lacking
                if keys[at] in known and out.status[at] == _OK
            }
            self._cache.set_many(fresh, self._ttl_s, since=lookup, codec=codec)
        return out

    def close(self) -> None:
        """Close the cache."""
        self._cache.close()
