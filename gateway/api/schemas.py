"""The types of every request. Strings must be strings: no number or timestamp is accepted."""

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.api.incoming import whole_number
from preprocess.models.names import DEFAULT_VARIANT, Variant

LARGEST_BATCH = 100
DEFAULT_PAGE = 50
LARGEST_PAGE = 1000
_LARGEST_OFFSET = 1_000_000_000


def _real_day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise PydanticCustomError("date_invalid", "There is no such day in the calendar") from None
    return text


def _decimal(text: Any) -> int:
    number = whole_number(text) if isinstance(text, str) else None
    if number is None:
        raise PydanticCustomError(
            "int_parsing", "Input should be a whole number of at most 18 decimal digits"
        )
    return number


BseCode = Annotated[
    str,
    Field(
        pattern="^[0-9]{6}$", description="BSE scrip code, leading zeros kept", examples=["500325"]
    ),
]
CalendarDate = Annotated[
    str,
    Field(
        pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        description="Prediction date; not after today in Mumbai",
        examples=["2026-08-14"],
        json_schema_extra={"format": "date"},
    ),
    AfterValidator(_real_day),
]
Decimal = BeforeValidator(_decimal)


class PredictionRequest(BaseModel):
    """One stock as of one day. Unknown keys are ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    bse_code: BseCode
    prediction_date: CalendarDate
    nse_symbol: Annotated[str, Field(max_length=32)] | None = Field(
        None, description="Echoed if the service does not know the symbol"
    )
    include_features: bool = Field(False, description="Whether to return the 25 features too")
    variant: Variant = Field(DEFAULT_VARIANT, description="Model variant to use")


class BatchRequest(BaseModel):
    """The envelope of a batch. Its items are validated one by one, as PredictionRequest."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    predictions: Annotated[list[Any], Field(min_length=1, max_length=LARGEST_BATCH)]


class TrafficRequest(BaseModel):
    """The candidate next to the stable version; null ends its traffic."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    candidate: Annotated[int, Field(ge=1, lt=10**18)] | None = Field(
        description="The version to try"
    )
    share: Annotated[float, Field(ge=0, le=100)] = Field(
        0.0, description="Percentage of the stocks that it answers or shadows"
    )
    shadow: bool = Field(False, description="Whether its results are only compared, never returned")

    @model_validator(mode="after")
    def _shared(self) -> Self:
        if self.candidate is not None and self.share == 0.0:
            raise PydanticCustomError("share_missing", "A candidate needs a share above 0")
        return self


class StocksQuery(BaseModel):
    """Which stocks to list."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    q: Annotated[str, Field(max_length=64)] = Field(
        "", description="Start of a code or symbol, or part of a company's name; any case"
    )
    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE), Decimal] = Field(
        DEFAULT_PAGE, description="Maximum number of stocks to return"
    )
    offset: Annotated[int, Field(ge=0, le=_LARGEST_OFFSET), Decimal] = Field(
        0, description="Number of matching stocks to skip"
    )


class AnnouncementsQuery(BaseModel):
    """Whose announcements to list."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    date: CalendarDate | None = Field(
        None, description="Day of the announcements; without one the newest day with any"
    )
    limit: Annotated[int, Field(ge=1, le=LARGEST_BATCH), Decimal] = Field(
        DEFAULT_PAGE, description="Maximum number of stocks to return"
    )
    offset: Annotated[int, Field(ge=0, le=_LARGEST_OFFSET), Decimal] = Field(
        0, description="Number of stocks to skip"
    )


class CacheClearQuery(BaseModel):
    """Which cached values to clear."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["predictions", "features", "queries", "all"] = Field(
        "all", description="Which kind of values"
    )
    bse_code: Annotated[str, Field(pattern="^[0-9]{6}$")] | None = Field(
        None, description="Only those of one stock; query results belong to no stock"
    )

    @model_validator(mode="after")
    def _of_a_stock(self) -> Self:
        if self.type == "queries" and self.bse_code is not None:
            raise PydanticCustomError(
                "bse_code_unexpected", "Query results belong to no stock: clear all of them"
            )
        return self
