"""Keys: what kind of answer lies under one, and of which stock."""

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, Literal, get_args

Kind = Literal["features", "predictions", "queries", "others"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
# The kinds whose keys name a stock. Predictions are made of features, and so come after them.
STOCK_KINDS: Final[tuple[Kind, ...]] = ("features", "predictions")

BEGINNINGS: dict[str, Kind] = {
    "features": "features",
    "prediction": "predictions",
    "query": "queries",
}
_CODE = re.compile(r"[0-9]{6}")


@dataclass(frozen=True, slots=True)
class Scope:
    """What an invalidation may name of a key. `stock` is a BSE code; None for keys of none."""

    kind: Kind
    stock: str | None = None

    @property
    def stock_fence(self) -> str | None:
        """The name of the fence before this stock's values of this kind."""
        return None if self.stock is None else f"{self.kind}:{self.stock}"

    @property
    def fences(self) -> tuple[str, ...]:
        """The names of the fences that a value in this scope stands behind."""
        stock = self.stock_fence
        return (self.kind,) if stock is None else (self.kind, stock)


# One key is asked about some ten times while it is looked up. Few more are held than that takes: a
# key that comes again is another string than the one under which the memory holds its value.
@lru_cache(maxsize=1_024)
def scope_of(key: str) -> Scope:
    """The scope of any key; keys of none of the known forms are of the kind `others`."""
    parts = key.split(":", 2)
    kind = BEGINNINGS.get(parts[0], "others") if len(parts) > 1 else "others"
    if kind in STOCK_KINDS and _CODE.fullmatch(parts[1]):
        return Scope(kind, parts[1])
    return Scope(kind)


def features_key(bse_code: str, day: date, names_hash: str) -> str:
    """The key of a stock's features on a day; `names_hash` tells the list of features."""
    return f"features:{bse_code}:{day.isoformat()}:{names_hash}"


def prediction_key(bse_code: str, day: str, model_version: int, variant: str) -> str:
    """The key of what one version of a model says of a stock on an ISO day."""
    return f"prediction:{bse_code}:{day}:{model_version}:{variant}"
