"""Invalidations: which cached values are out of date."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from gateway.cache.keys import PREFIXES, STOCK_KINDS, Kind, scope_of
from preprocess.errors import CacheError

# With more stocks than this, their kinds are invalidated as a whole.
MANY_STOCKS = 5_000
_MANY_PATTERNS = 20
_WILDCARD = re.compile(r"[*?\[\\]")
_PREFIX: dict[str, str] = {kind: prefix for prefix, kind in PREFIXES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalidation:
    """Everything, or the values of some scopes, named as in `Scope.names`."""

    everything: bool = False
    scopes: tuple[str, ...] = ()

    @classmethod
    def of(cls, *, kind: Kind | None = None, stocks: Sequence[str] | None = None) -> Self:
        """All of a kind, all of some stocks, or these stocks' values of the kind.

        Raises:
            CacheError: keys of this kind name no stock.
        """
        if stocks is None:
            return cls(everything=True) if kind is None else cls(scopes=(kind,))
        if kind is not None and kind not in STOCK_KINDS:
            raise CacheError(f"Cached {kind} belong to no stock: clear all of them instead.")
        kinds = STOCK_KINDS if kind is None else (kind,)
        if len(stocks) > MANY_STOCKS:
            return cls(scopes=kinds)
        return cls(scopes=tuple(f"{each}:{code}" for code in stocks for each in kinds))

    @classmethod
    def matching(cls, pattern: str) -> Self:
        """The narrowest scope that includes every key matching a Redis glob pattern.

        That is a stock's values of a kind, a kind, or everything. What is forgotten in addition
        is computed again.
        """
        literal = _WILDCARD.split(pattern, maxsplit=1)[0]
        if ":" not in literal and literal != pattern:
            return cls(everything=True)
        # The last part may go on: `prediction:5003*` names no stock.
        whole = literal if literal == pattern else literal.rpartition(":")[0] + ":"
        return cls(scopes=(scope_of(whole).names[-1],))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to forget."""
        return not (self.everything or self.scopes)

    @property
    def dependants(self) -> Self | None:
        """The predictions that may have been computed from the invalidated features."""
        if self.everything:
            return type(self)(scopes=("predictions",))
        named = frozenset(self.scopes)
        sources = (name for name in self.scopes if name.startswith("features"))
        products = (name.replace("features", "predictions") for name in sources)
        stale = tuple(name for name in products if name in named)
        return type(self)(scopes=stale) if stale else None

    @property
    def patterns(self) -> tuple[str, ...]:
        """Glob patterns of the keys; empty if there is none, or if they would be many."""
        if self.everything:
            return ("*",)
        if len(self.scopes) > _MANY_PATTERNS:
            return ()
        parts = [name.partition(":") for name in self.scopes]
        return tuple(
            f"{_PREFIX[kind]}:{code}:*" if code else f"{_PREFIX[kind]}:*"
            for kind, _, code in parts
            if kind in _PREFIX
        )
