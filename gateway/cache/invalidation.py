"""Invalidations: what is to be forgotten, as a value that travels between processes."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import msgspec

from gateway.cache.keys import BEGINNINGS, STOCK_KINDS, Kind, scope_of
from preprocess.errors import CacheError


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalidation:
    """Everything, or the values behind some fences.

    `fences` are names as `Scope.fences` has them: a kind, or a kind and a stock.
    """

    everything: bool = False
    fences: tuple[str, ...] = ()

    @classmethod
    def of(cls, *, kind: Kind | None = None, stocks: Iterable[str] | None = None) -> Self:
        """All of a kind, all of some stocks, or these stocks' values of the kind.

        Raises:
            CacheError: keys of this kind name no stock.
        """
        if stocks is None:
            return cls(everything=True) if kind is None else cls(fences=(kind,))
        if kind is not None and kind not in STOCK_KINDS:
            raise CacheError(f"Cached {kind} belong to no stock: clear all of them instead.")
        kinds = STOCK_KINDS if kind is None else (kind,)
        return cls(fences=tuple(f"{each}:{code}" for code in stocks for each in kinds))

    @classmethod
    def matching(cls, pattern: str) -> Self:
        """The least that has every key that matches a glob pattern of Redis.

        That is a stock's values of a kind, a kind, or everything: what is forgotten beside what
        matches is computed again.
        """
        literal = _WILD.split(pattern, maxsplit=1)[0]
        if ":" not in literal and literal != pattern:
            return cls(everything=True)
        # An open end may go on: `prediction:5003*` names no stock.
        whole = literal if literal == pattern else literal.rpartition(":")[0] + ":"
        scope = scope_of(whole)
        return cls(fences=(scope.stock_fence or scope.kind,))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to forget."""
        return not (self.everything or self.fences)

    @property
    def dependants(self) -> Self | None:
        """What may have been computed from features that this one makes old."""
        named = frozenset(self.fences)
        sources = (name for name in self.fences if name.startswith("features"))
        products = (name.replace("features", "predictions") for name in sources)
        stale = tuple(name for name in products if name in named)
        if self.everything:
            return type(self)(fences=("predictions",))
        return type(self)(fences=stale) if stale else None

    @property
    def patterns(self) -> tuple[str, ...]:
        """Glob patterns of the keys; none where there is none, or where they would be many."""
        if self.everything:
            return ("*",)
        if len(self.fences) > _MANY:
            return ()
        found = [name.partition(":") for name in self.fences]
        return tuple(
            f"{_BEGINNING[kind]}:{code}:*" if code else f"{_BEGINNING[kind]}:*"
            for kind, _, code in found
            if kind in _BEGINNING
        )

    def parts(self, size: int) -> Iterator[Self]:
        """The same in steps of at most `size` fences."""
        if len(self.fences) <= size:
            yield self
            return
        for first in range(0, len(self.fences), size):
            yield type(self)(fences=self.fences[first : first + size])


_MANY = 20
_WILD = re.compile(r"[*?\[\\]")
_BEGINNING: dict[str, str] = {kind: beginning for beginning, kind in BEGINNINGS.items()}


@dataclass(frozen=True, slots=True)
class Notice:
    """An invalidation as it is written down for other processes.

    `origin` is the replica that gave it.
    """

    origin: str
    invalidation: Invalidation

    def to_bytes(self) -> bytes:
        """JSON without a line break."""
        return msgspec.json.encode(self)

    @classmethod
    def from_bytes(cls, document: bytes) -> Self | None:
        """The notice; None if the bytes are none."""
        try:
            return msgspec.json.decode(document, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
