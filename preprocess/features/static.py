"""Static features: read from the monthly stamps, never computed on the way to an answer."""

import math
from collections.abc import Sequence
from datetime import date

from preprocess.market.calendar import month_of
from preprocess.market.values import StaticRow


def stamp_on(statics: Sequence[StaticRow], day: date) -> StaticRow | None:
    """The stamp that was current on `day`: that of its month, else the newest before it."""
    month = month_of(day)
    return max(
        (stamp for stamp in statics if stamp.month <= month),
        key=lambda stamp: stamp.month,
        default=None,
    )


def static_features(statics: Sequence[StaticRow], day: date) -> list[float]:
    """Features 24 and 25 of the manifest as of `day`."""
    stamp = stamp_on(statics, day)
    if stamp is None:
        return [math.nan, math.nan]
    return [
        math.nan if value is None else float(value)
        for value in (stamp.sector_code, stamp.market_cap_tier)
    ]
