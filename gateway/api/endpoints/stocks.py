"""GET /api/v1/stocks."""

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import StocksAnswer
from gateway.api.directory import StockDirectory
from gateway.api.incoming import validated
from gateway.api.responses import JSONAnswer
from gateway.api.schemas import StocksQuery


class StocksEndpoint:
    """The stocks that can be predicted, one page at a time."""

    def __init__(self, directory: StockDirectory) -> None:
        self._directory = directory

    async def stocks(self, request: Request) -> Response:
        """The stocks that match the query, ascending by code."""
        query = validated(StocksQuery, dict(request.query_params), "query")
        found = self._directory.search(query.q)
        return JSONAnswer(
            StocksAnswer(
                total=len(found),
                limit=query.limit,
                offset=query.offset,
                stocks=list(found[query.offset : query.offset + query.limit]),
            )
        )
