"""What answers look like, for the OpenAPI document. The tests hold real answers against it."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from gateway.health import Condition
from gateway.outcome import Code
from preprocess.confidence import Confidence
from preprocess.repository.names import Variant

Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
VersionNumber = Annotated[int, Field(ge=1)]
Features = Annotated[
    dict[str, float | None], WithJsonSchema({"$ref": "#/components/schemas/Features"})
]
Text = Annotated[str, Field(min_length=1)]


class Document(BaseModel):
    """Every key is always there, and no other."""

    model_config = ConfigDict(extra="forbid")


class PredictionAnswer(Document):
    """The prediction for one stock as of one day."""

    bse_code: str = Field(description="As requested")
    nse_symbol: str = Field(description='"UNKNOWN" when not known')
    prediction_date: date = Field(description="As requested")
    as_of: date = Field(description="Date of the newest price row that was used")
    predicted_label: Literal[0, 1] = Field(
        description="1 if the probability reaches the threshold of the answering version"
    )
    probability: Probability = Field(
        description="That the stock closes at its upper circuit on the next trading day (float32)"
    )
    confidence: Confidence = Field(
        description="HIGH: at least 0.7 or at most 0.3; LOW: 0.45 to 0.55; else MEDIUM"
    )
    model_version: VersionNumber = Field(description="The version that computed the probability")
    variant: Variant
    cached: bool
    prediction_timestamp: datetime = Field(description="When this was answered, UTC")
    features: Features | None = Field(description="Only if include_features was set")
    shap_values: dict[str, float] | None


class ItemError(Document):
    """Why one item of a batch has no prediction."""

    code: Code
    message: Text


class BatchItemAnswer(Document):
    """One item of a batch: a prediction with `error` null, or an `error` and nulls."""

    bse_code: str | None = Field(description="As requested, if it was a string")
    nse_symbol: str | None
    prediction_date: str | None = Field(description="As requested, if it was a string")
    as_of: date | None
    predicted_label: Literal[0, 1] | None
    probability: Probability | None
    confidence: Confidence | None
    model_version: VersionNumber | None
    variant: Variant | None
    cached: bool | None
    prediction_timestamp: datetime | None
    features: Features | None
    shap_values: dict[str, float] | None
    error: ItemError | None


class Problem(Document):
    """Why there is no answer."""

    detail: Text


class InvalidEntry(Document):
    """One thing that is wrong with a request."""

    type: Text
    loc: Annotated[list[str | int], Field(min_length=1)] = Field(
        description="Where: body, query or header, and the way from there"
    )
    msg: Text
    input: Any = Field(description="What was given, shortened")


class InvalidRequest(Document):
    """Everything that is wrong with a request."""

    detail: Annotated[list[InvalidEntry], Field(min_length=1)]


class StockEntry(Document):
    """A stock that can be asked for."""

    bse_code: str
    nse_symbol: str = Field(description='"UNKNOWN" when not known')
    company_name: str | None
    newest_price_date: date


class StocksAnswer(Document):
    """A page of the stocks that match."""

    total: Count = Field(description="Stocks that match in all")
    limit: Count
    offset: Count
    stocks: list[StockEntry]


class ComponentAnswer(Document):
    """The health of one component."""

    status: Condition
    detail: Text
    latency_ms: float | None
    checked_at: datetime | None


class HealthAnswer(Document):
    """The health of everything, proven by use."""

    status: Condition
    components: dict[str, ComponentAnswer]
    version: Text
    uptime_s: Annotated[float, Field(ge=0)]


class LiveAnswer(Document):
    """The process is alive."""

    status: Literal["alive"]


class ReadyAnswer(Document):
    """Predictions are answered rightly now."""

    status: Literal["ready"]


class NotReadyAnswer(Document):
    """Predictions are not answered, or not rightly."""

    status: Literal["not ready"]
    reason: Text


class GraphAnswer(Document):
    """The file of one variant of a version."""

    sha256: Text
    size_bytes: Count


class ModelVersionAnswer(Document):
    """One published version."""

    model_version: VersionNumber
    state: Literal["serving", "loaded", "available"]
    labels: list[Literal["stable", "candidate", "previous"]]
    model_id: str
    family: str
    trained_at: datetime
    published_at: datetime
    threshold: Probability
    metrics: dict[str, Any] = Field(description="On the test span of the training data")
    features: list[str] = Field(description="The feature manifest, in order")
    feature_hash: str
    variants: dict[Variant, GraphAnswer]


class VariantAnswer(Document):
    """One model variant."""

    state: Literal["published", "absent"]
    versions: list[VersionNumber]
    serving: VersionNumber | None
    detail: Text


class ModelsAnswer(Document):
    """What is published, who answers what, and what of it works."""

    versions: list[ModelVersionAnswer]
    variants: dict[Variant, VariantAnswer]
    stable: VersionNumber | None
    candidate: VersionNumber | None
    previous: VersionNumber | None
    share: Annotated[float, Field(ge=0, le=100)] = Field(
        description="Percentage of the stocks that the candidate answers, or shadows"
    )
    shadow: bool = Field(description="Whether the candidate's answers are compared and not given")
    generation: Count = Field(description="Rises with every change of the labels")
    changed_at: datetime | None


class CacheClearedAnswer(Document):
    """What was forgotten, in every replica."""

    type: Literal["predictions", "features", "queries", "all"]
    bse_code: str | None
    dropped: Count = Field(description="Values that there were, as far as is known")


class CacheCountsAnswer(Document):
    """Keys asked for, by what answered."""

    asked: Count
    local_hits: Count = Field(description="Answered out of the memory of the process")
    redis_hits: Count
    misses: Count = Field(description="Computed, or waited for while another request computed")
    hit_rate: Annotated[float, Field(ge=0, le=1)]


class CacheKindAnswer(Document):
    """One kind of cached values."""

    enabled: bool
    ttl_s: float | None = Field(description="Null where each value has a time of its own")
    since_start: CacheCountsAnswer
    recent: CacheCountsAnswer


class CacheMemoryAnswer(Document):
    """What the memory of the process holds."""

    entries: Count
    bytes: Count
    most_entries: Count
    most_bytes: Count
    ttl_s: float
    current: bool = Field(description="Whether it may answer: it has heard of every invalidation")


class CacheStatsAnswer(Document):
    """The cache as this process sees it."""

    kinds: dict[Literal["features", "predictions", "queries", "others"], CacheKindAnswer]
    features_model: CacheCountsAnswer | None = Field(
        description="Keys that Triton's features model asked for since it was loaded; null if it "
        "caches nothing, or does not say"
    )
    recent_s: float = Field(description="Seconds that `recent` covers")
    memory: CacheMemoryAnswer
    redis: Literal["none", "up", "away"]


DOCUMENTS: tuple[type[BaseModel], ...] = (
    PredictionAnswer,
    BatchItemAnswer,
    Problem,
    InvalidRequest,
    StocksAnswer,
    HealthAnswer,
    LiveAnswer,
    ReadyAnswer,
    NotReadyAnswer,
    ModelsAnswer,
    CacheClearedAnswer,
    CacheStatsAnswer,
)
