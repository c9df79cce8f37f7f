"""The directory of stocks, and GET /api/v1/stocks."""

import asyncio
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.api.directory import StockDirectory
from preprocess.errors import StoreError
from preprocess.market.values import Bar, Stock
from preprocess.settings import Settings, load_settings
from preprocess.store import Store, open_store
from tests.gateway.fakes import NOW, Running, running_app, until, write_market


async def stocks(tezi: Running, **query: Any) -> Any:
    response = await tezi.client.get("/api/v1/stocks", params=query)
    assert response.status_code == 200
    return response.json()


async def test_all_stocks_ascending_by_code(tezi: Running) -> None:
    found = await stocks(tezi)
    assert (found["total"], found["limit"], found["offset"]) == (4, 50, 0)
    keys = ("bse_code", "nse_symbol", "company_name", "newest_price_date")
    assert found["stocks"] == [
        dict(zip(keys, (*names, "2026-08-13"), strict=True))
        for names in (
            ("500001", "ALPHA", "Alpha Steel Ltd"),
            ("500002", "BETA", "Beta Bank"),
            ("500003", "UNKNOWN", "Gamma alphabets"),
            ("590004", "UNKNOWN", None),
        )
    ]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("", ["500001", "500002", "500003", "590004"]),
        ("  ", ["500001", "500002", "500003", "590004"]),
        ("5000", ["500001", "500002", "500003"]),
        ("0001", []),  # the start of a code, not its middle
        ("590004", ["590004"]),
        ("bet", ["500002", "500003"]),
        ("ETA", ["500002"]),  # in the name
        ("LPHA", ["500001", "500003"]),  # in names, whatever the case
        ("ALPHA", ["500001", "500003"]),
        ("steel ltd", ["500001"]),
        ("unknown", []),  # that is no symbol
        ("%", []),
        ("\x00", []),
    ],
)
async def test_what_matches(tezi: Running, text: str, codes: list[str]) -> None:
    found = await stocks(tezi, q=text)
    assert [entry["bse_code"] for entry in found["stocks"]] == codes
    assert found["total"] == len(codes)


@pytest.mark.parametrize(
    ("limit", "offset", "codes"),
    [
        (1, 0, ["500001"]),
        (2, 1, ["500002", "500003"]),
        (1000, 3, ["590004"]),
        (5, 4, []),
        (1, 999_999_999, []),
    ],
)
async def test_pages(tezi: Running, limit: int, offset: int, codes: list[str]) -> None:
    found = await stocks(tezi, limit=limit, offset=offset)
    assert [entry["bse_code"] for entry in found["stocks"]] == codes
    assert (found["total"], found["limit"], found["offset"]) == (4, limit, offset)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1.0", "limit"),
        ("limit=1_0", "limit"),
        ("limit=%2010", "limit"),
        ("limit=%D9%A5", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=" + "0" * 10 + "1000000", "limit"),
        ("offset=-1", "offset"),
        ("offset=1000000001", "offset"),
        ("offset=x", "offset"),
        ("q=" + "x" * 65, "q"),
    ],
)
async def test_a_malformed_query_is_named(tezi: Running, query: str, name: str) -> None:
    response = await tezi.client.get(f"/api/v1/stocks?{query}")
    assert response.status_code == 422
    (entry,) = response.json()["detail"]
    assert entry["loc"] == ["query", name]
    assert set(entry) == {"type", "loc", "msg", "input"}


async def test_queries_of_any_bytes_are_answered(tezi: Running) -> None:
    for query in ("q=%FF%FE", "q=%ED%A0%80", "q", "&&", "q=a&q=b", "other=1"):
        assert (await tezi.client.get(f"/api/v1/stocks?{query}")).status_code == 200


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path / "data")


class Opener:
    """Opens the store unless it is `unreachable`; keeps every store that it opened."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.unreachable = False
        self.opened: list[Store] = []

    def __call__(self) -> Store:
        if self.unreachable:
            raise StoreError("the database is unreachable")
        self.opened.append(open_store(self.settings))
        return self.opened[-1]


def add(settings: Settings, stock: Stock) -> None:
    store = open_store(settings, write=True)
    try:
        with store.transaction() as writer:
            writer.put_stocks([stock])
            writer.put_prices([Bar(stock.bse_code, date(2026, 8, 14), 1, 1, 1, 1, 1)])
    finally:
        store.close()


async def test_the_directory_follows_the_database(settings: Settings) -> None:
    write_market(settings)
    opener = Opener(settings)
    directory = StockDirectory(opener, clock=lambda: NOW)
    await directory.refresh()
    first = directory.search("")
    await directory.refresh()
    assert directory.search("") is first  # nothing has changed: nothing is read
    add(settings, Stock("500009", "NINE", "Nine"))
    await directory.refresh()
    assert directory.symbol("500009") == "NINE"
    assert len(directory) == 5
    assert len(opener.opened) == 1
    await directory.close()
    await directory.close()


async def test_an_unreachable_database_leaves_what_was_read(settings: Settings) -> None:
    opener = Opener(settings)
    directory = StockDirectory(opener, clock=lambda: NOW)
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            await directory.refresh()  # there is none yet
        assert directory.state.status == "degraded"
        assert directory.state.checked_at == NOW
        write_market(settings)
        await directory.refresh()
        assert directory.state.status == "healthy"
        assert directory.state.detail == "4 stocks"
        opener.opened[-1].close()  # as a database that fails under us
        opener.unreachable = True
        for _ in range(3):
            await directory.refresh()
        assert (directory.state.status, len(directory)) == ("degraded", 4)
        assert directory.symbol("500001") == "ALPHA"
        assert "4 stocks are known from before" in directory.state.detail
        opener.unreachable = False
        add(settings, Stock("500009", "NINE", "Nine"))
        await directory.refresh()
        assert (directory.state.status, len(directory)) == ("healthy", 5)
    assert [line["event"] for line in lines] == [
        "the market database cannot be read",
        "the market database can be read",
        "the market database cannot be read",
        "the market database can be read",
    ]
    await directory.close()


async def test_closing_waits_for_a_read_that_goes_on(settings: Settings) -> None:
    write_market(settings)
    opener = Opener(settings)
    slow = asyncio.Event()
    loop = asyncio.get_running_loop()

    def open_slowly() -> Store:
        asyncio.run_coroutine_threadsafe(slow.wait(), loop).result(60)
        return opener()

    directory = StockDirectory(open_slowly, clock=lambda: NOW)
    refreshing = asyncio.create_task(directory.refresh())
    await asyncio.sleep(0)  # it has started its thread
    refreshing.cancel()
    await asyncio.gather(refreshing, return_exceptions=True)
    closing = asyncio.create_task(directory.close())
    await asyncio.sleep(0)
    assert not closing.done()
    slow.set()
    await closing
    with pytest.raises(StoreError, match="closed"):
        opener.opened[0].mark()


async def test_an_import_is_seen_by_a_running_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.app.POLL_S", 0.02)
    async with running_app(tmp_path, market=False) as tezi:
        assert (await stocks(tezi))["total"] == 0
        health = (await tezi.client.get("/api/v1/health")).json()
        assert health["components"]["database"]["status"] == "degraded"
        write_market(tezi.settings)

        async def all_are_there() -> bool:
            return bool((await stocks(tezi))["total"] == 4)

        await until(all_are_there)
