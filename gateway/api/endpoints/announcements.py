"""GET /api/v1/announcements."""

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import AnnouncementsAnswer
from gateway.api.directory import StockDirectory
from gateway.api.endpoints.predict import item_answer
from gateway.api.incoming import timeout_of, validated
from gateway.api.predictions import Predictions
from gateway.api.responses import JSONAnswer
from gateway.api.schemas import AnnouncementsQuery, PredictionRequest


class AnnouncementsEndpoint:
    """The stocks that announced results on a day, with their predictions, one page at a time."""

    def __init__(
        self, directory: StockDirectory, predictions: Predictions, *, default_timeout_ms: int
    ) -> None:
        """`default_timeout_ms` applies to callers that send no deadline."""
        self._directory = directory
        self._predictions = predictions
        self._default_timeout_ms = default_timeout_ms

    async def announcements(self, request: Request) -> Response:
        """The day's stocks, ascending by code; without a date those of the newest day."""
        query = validated(AnnouncementsQuery, dict(request.query_params), "query")
        timeout_s = timeout_of(request.scope, self._default_timeout_ms)
        announcements = self._directory.announcements
        day = query.date or announcements.newest_day()
        codes = announcements.on(day) if day else []
        wanted = [
            PredictionRequest.model_construct(bse_code=code, prediction_date=day)
            for code in codes[query.offset : query.offset + query.limit]
            if day
        ]
        outcomes = await self._predictions.predict_batch(wanted, timeout_s) if wanted else []
        return JSONAnswer(
            AnnouncementsAnswer(
                date=day,
                total=len(codes),
                limit=query.limit,
                offset=query.offset,
                announcements=[
                    item_answer(one.model_dump(), outcome)
                    for one, outcome in zip(wanted, outcomes, strict=True)
                ],
            )
        )
