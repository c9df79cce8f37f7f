"""GET /api/v1/announcements, and what a prediction says of the results that it follows."""

from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import PredictorUnavailableError
from preprocess.settings import load_settings
from preprocess.store import open_store
from tests.builders import result
from tests.gateway.fakes import TODAY, Running, running_app


@pytest.fixture
def announced(tmp_path: Path) -> Path:
    """500001 and 590004 announced today; 500002 yesterday, and today other figures of the same."""
    settings = load_settings(data_dir=tmp_path / "data")
    with closing(open_store(settings, write=True)) as store, store.transaction() as writer:
        today, yesterday = date.fromisoformat(TODAY), date(2026, 8, 13)
        for code in ("500001", "590004"):
            writer.put_results([(code, result(2027, 1, announced=today))])
        writer.put_results([("500002", result(2027, 1, announced=yesterday))])
        writer.put_results([("500002", result(2027, 1, announced=today, eps=7.0))])
    return tmp_path


async def announcements(tezi: Running, **query: Any) -> dict[str, Any]:
    response = await tezi.client.get("/api/v1/announcements", params=query)
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


async def test_a_prediction_names_the_results_that_it_follows(announced: Path) -> None:
    async with running_app(announced) as tezi:
        first = (await tezi.predict(bse_code="500001")).json()
        assert (first["announced_on"], first["basis"]) == (TODAY, "announcement")
        assert first["next_session"] == "2026-08-17"
        second = (await tezi.predict(bse_code="500002")).json()
        assert (second["announced_on"], second["basis"]) == (None, "no_announcement")


async def test_the_days_announcements_come_with_their_predictions(announced: Path) -> None:
    async with running_app(announced) as tezi:
        found = await announcements(tezi)
        assert (found["date"], found["total"], found["limit"]) == (TODAY, 2, 50)
        expected = [(await tezi.predict(bse_code=code)).json() for code in ("500001", "590004")]
        for entry, single in zip(found["announcements"], expected, strict=True):
            assert entry["error"] is None
            assert (entry["bse_code"], entry["probability"], entry["announced_on"]) == (
                single["bse_code"],
                single["probability"],
                TODAY,
            )
        page = await announcements(tezi, date=TODAY, limit=1, offset=1)
        assert [entry["bse_code"] for entry in page["announcements"]] == ["590004"]
        assert page["total"] == 2
        for day in ("2026-08-12", "2030-01-01"):
            assert await announcements(tezi, date=day) == {
                "date": day,
                "total": 0,
                "limit": 50,
                "offset": 0,
                "announcements": [],
            }


async def test_a_market_without_announcements_has_no_day(tezi: Running) -> None:
    found = await announcements(tezi)
    assert (found["date"], found["announcements"]) == (None, [])


async def test_without_triton_the_list_is_503(announced: Path) -> None:
    async with running_app(announced) as tezi:
        tezi.predictor.error = PredictorUnavailableError("away")
        response = await tezi.client.get("/api/v1/announcements")
        assert response.status_code == 503


@pytest.mark.parametrize("query", ["date=14.8.2026", "date=2026-02-30", "limit=101", "offset=-1"])
async def test_a_malformed_query_is_named(tezi: Running, query: str) -> None:
    response = await tezi.client.get(f"/api/v1/announcements?{query}")
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][:2] == ["query", query.partition("=")[0]]
