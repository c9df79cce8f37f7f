"""The types of every JSON answer. The OpenAPI document is made from them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, WithJsonSchema
from typing_extensions import (  # pydantic reads no typing.TypedDict before Python 3.12
    Doc,
    TypedDict,
)

from gateway.api.confidence import Confidence
from gateway.cache.keys import Kind
from preprocess.market.values import Target
from preprocess.models.names import Variant

Probability = Annotated[float, Field(ge=0, le=1)]
Percentage = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0)]
VersionNumber = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
Day = Annotated[str, WithJsonSchema({"type": "string", "format": "date"})]
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Label = Annotated[
    str, WithJsonSchema({"type": "string", "enum": ["stable", "candidate", "previous"]})
]
Features = Annotated[dict[str, float], WithJsonSchema({"$ref": "#/components/schemas/Features"})]


class PredictionAnswer(msgspec.Struct, frozen=True):
    """The prediction for one stock as of one day."""

    # A structure, as predictions are the hot path: it is built and encoded faster than a dict.

    bse_code: Annotated[str, Doc("As requested")]
    nse_symbol: Annotated[str, Doc('"UNKNOWN" when not known')]
    prediction_date: Annotated[Day, Doc("As requested")]
    as_of: Annotated[Day, Doc("Date of the newest price row used")]
    announced_on: Annotated[
        Day | None,
        Doc(
            "When the results were announced that this follows; null if the next session follows "
            "none: the model was trained on sessions after results only"
        ),
    ]
    basis: Literal["announcement", "no_announcement"]
    next_session: Annotated[Day, Doc("The trading session that is predicted")]
    predicted_label: Annotated[
        int,
        Doc("1 if the probability reaches the threshold of the answering version"),
        WithJsonSchema({"type": "integer", "enum": [0, 1]}),
    ]
    probability: Annotated[
        Probability,
        Doc("Of the `target` on `next_session` (float32)"),
    ]
    target: Annotated[
        Target,
        Doc(
            "What is predicted: a close at the upper price limit (`upper_circuit`), or one that is "
            "some percent higher (`up_5pct`)"
        ),
    ]
    threshold: Annotated[Probability, Doc("Of the answering version")]
    margin: Annotated[
        float,
        Doc("Log-odds of the probability less those of the threshold: not negative for label 1"),
    ]
    confidence: Annotated[
        Confidence,
        Doc(
            "HIGH: at least 0.7 or at most 0.3; LOW: 0.45 to 0.55. Kept for older clients: "
            "`margin` is measured from the threshold"
        ),
    ]
    model_version: Annotated[VersionNumber, Doc("The version that computed the probability")]
    variant: Variant
    cached: bool
    prediction_timestamp: Annotated[datetime, Doc("When this was answered, UTC")]
    features: Annotated[Features | None, Doc("Only if include_features was set")]
    shap_values: dict[str, float] | None


class Code(StrEnum):
    """Why one stock has no prediction."""

    INVALID_REQUEST = "invalid_request"
    FUTURE_DATE = "future_date"
    UNKNOWN_STOCK = "unknown_stock"
    SHORT_HISTORY = "short_history"
    VARIANT_NOT_SERVED = "variant_not_served"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"
    DEADLINE_EXCEEDED = "deadline_exceeded"


class ItemError(TypedDict):
    """Why one item of a batch has no prediction."""

    code: Code
    message: Text


class Problem(TypedDict):
    """Why there is no answer."""

    detail: Text


class InvalidEntry(TypedDict):
    """One problem of a request."""

    type: Text
    loc: Annotated[
        list[str | int],
        Field(min_length=1, description="Where: body, query or header, then the path inside it"),
    ]
    msg: Text
    input: Annotated[Any, Doc("The given value, shortened")]


class InvalidRequest(TypedDict):
    """All problems of a request."""

    detail: Annotated[list[InvalidEntry], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class StockEntry:
    """A stock that can be predicted."""

    bse_code: str
    nse_symbol: Annotated[str, Doc('"UNKNOWN" when not known')]
    company_name: str | None
    newest_price_date: Day


class StocksAnswer(TypedDict):
    """One page of the matching stocks."""

    total: Annotated[Count, Doc("Number of all matching stocks")]
    limit: Count
    offset: Count
    stocks: list[StockEntry]


class AnnouncementsAnswer(TypedDict):
    """One page of the stocks that announced results on a day."""

    date: Annotated[Day | None, Doc("Null if no announcement is known")]
    total: Annotated[Count, Doc("Number of all stocks that announced")]
    limit: Count
    offset: Count
    announcements: Annotated[
        list[Any],
        WithJsonSchema(
            {"type": "array", "items": {"$ref": "#/components/schemas/BatchItemAnswer"}}
        ),
    ]


class Condition(StrEnum):
    """Of the service, or of a component; only optional components can be `absent`."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Component:
    """The health of one component."""

    status: Condition
    detail: Text
    latency_ms: float | None = None
    checked_at: datetime | None = None


class HealthAnswer(TypedDict):
    """The health of the service, judged by use."""

    status: Condition
    components: dict[str, Component]
    version: Text
    uptime_s: Annotated[float, Field(ge=0)]


class LiveAnswer(TypedDict):
    """The process is alive."""

    status: Literal["alive"]


class ReadyAnswer(TypedDict):
    """Predictions are answered correctly now."""

    status: Literal["ready"]


class NotReadyAnswer(TypedDict):
    """Predictions are not answered, or not correctly."""

    status: Literal["not ready"]
    reason: Text


class GraphAnswer(TypedDict):
    """The file of one variant of a version."""

    sha256: Text
    size_bytes: Count


class ModelVersionAnswer(TypedDict):
    """One published version."""

    model_version: VersionNumber
    state: Literal["serving", "loaded", "available"]
    labels: list[Label]
    model_id: str
    family: str
    trained_at: Moment
    published_at: Moment
    target: Target
    threshold: Probability
    metrics: Annotated[dict[str, float], Doc("On the test period of the training data")]
    features: Annotated[tuple[str, ...], Doc("The feature manifest, in order")]
    feature_hash: str
    variants: dict[Variant, GraphAnswer]


class VariantAnswer(TypedDict):
    """One model variant."""

    state: Literal["published", "absent"]
    versions: list[VersionNumber]
    serving: VersionNumber | None
    detail: Text


class ModelsAnswer(TypedDict):
    """What is published, which version answers what, and whether each variant works."""

    versions: list[ModelVersionAnswer]
    variants: dict[Variant, VariantAnswer]
    stable: VersionNumber | None
    candidate: VersionNumber | None
    previous: VersionNumber | None
    share: Annotated[
        Percentage,
        Doc("Percentage of the stocks that the candidate answers or shadows"),
    ]
    shadow: Annotated[bool, Doc("Whether the candidate's results are only compared")]
    generation: Annotated[Count, Doc("Increases with every change of the labels")]
    changed_at: datetime | None


class CacheClearedAnswer(TypedDict):
    """What was cleared, in every replica."""

    type: Literal["predictions", "features", "queries", "all"]
    bse_code: str | None
    dropped: Annotated[Count, Doc("Number of values dropped, as far as known")]


class CacheCountsAnswer(TypedDict):
    """Keys looked up, by where they were found."""

    asked: Count
    local_hits: Annotated[Count, Doc("Found in the memory of the process")]
    redis_hits: Count
    misses: Annotated[Count, Doc("Computed, by this or by a concurrent request")]
    hit_rate: Probability


class CacheKindAnswer(TypedDict):
    """One kind of cached values."""

    enabled: bool
    ttl_s: Annotated[float | None, Doc("Null where each value has its own TTL")]
    since_start: CacheCountsAnswer
    recent: CacheCountsAnswer


class CacheMemoryAnswer(TypedDict):
    """The part of the cache in the memory of the process."""

    entries: Count
    bytes: Count
    most_entries: Count
    most_bytes: Count
    ttl_s: float
    current: Annotated[bool, Doc("Whether it may be used: it has received every invalidation")]


class CacheStatsAnswer(TypedDict):
    """The cache of this process."""

    kinds: dict[Kind, CacheKindAnswer]
    features_model: Annotated[
        CacheCountsAnswer | None,
        Doc("Lookups of Triton's features model since it was loaded; null if unknown"),
    ]
    recent_s: Annotated[float, Doc("Seconds covered by `recent`")]
    memory: CacheMemoryAnswer
    redis: Literal["none", "up", "away"]
