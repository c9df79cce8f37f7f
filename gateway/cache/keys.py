"""Keys: what kind of value lies under one, and which generations it belongs to."""

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, Literal, cast, get_args

Kind = Literal["features", "predictions", "queries", "others"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
# The kinds whose keys name a stock. Predictions are computed from features, so they come second.
STOCK_KINDS: Final[tuple[Kind, ...]] = ("features", "predictions")

PREFIXES: dict[str, Kind] = {
    "features": "features",
    "prediction": "predictions",
    "query": "queries",
}
_CODE = re.compile(r"[0-9]{6}")


@dataclass(frozen=True, slots=True)
class Scope:
    """The scopes by which a key can be invalidated: its kind, and its stock within the kind."""

    names: tuple[str, ...]

    @property
    def kind(self) -> Kind:
        """The kind of the value."""
        return cast("Kind", self.names[0])


# A lookup needs the scope of each key some ten times.
@lru_cache(maxsize=1_024)
def scope_of(key: str) -> Scope:
    """The scope of any key; a key of an unknown form is of the kind `others`."""
    parts = key.split(":", 2)
    kind = PREFIXES.get(parts[0], "others") if len(parts) > 1 else "others"
    if kind in STOCK_KINDS and _CODE.fullmatch(parts[1]):
        return Scope((kind, f"{kind}:{parts[1]}"))
    return Scope((kind,))


def features_key(bse_code: str, day: date, names_hash: str) -> str:
    """The key of a stock's features on a day; `names_hash` identifies the list of features."""
    return f"features:{bse_code}:{day.isoformat()}:{names_hash}"


def prediction_key(bse_code: str, day: str, model_version: int, variant: str) -> str:
    """The key of one model version's prediction for a stock on an ISO day."""
    return f"prediction:{bse_code}:{day}:{model_version}:{variant}"
