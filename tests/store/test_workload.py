"""The list of the product's queries is what the stores really run."""

from preprocess.store.base import Reader, Store
from preprocess.store.tools import tools_for
from preprocess.store.workload import READS, Sample, is_query, product_queries
from tests.builders import MONDAY, bars, result
from tests.store.places import Place

# What a store has besides its reads.
OTHERS = {"transaction", "close", "poll_interval_s"}


def test_every_read_of_the_interface_is_called() -> None:
    members = {name for kind in (Reader, Store) for name in vars(kind) if not name.startswith("_")}
    assert members - OTHERS == set(READS)


def test_the_queries_and_their_parameters(place: Place, store: Store) -> None:
    with store.transaction() as writer:
        for code in ("500001", "500002", "500003"):
            writer.put_prices(bars(code, [1.0, 2.0, 3.0]))
            writer.put_results([(code, result(2024, 1))])
    assert Sample.of(store) == Sample("500002", MONDAY.replace(day=3))
    queries = product_queries(tools_for(place.settings()).observed)
    assert len({query.name for query in queries}) == len(queries)
    assert all(is_query(query.sql) for query in queries)
    by_text = {query.sql: query for query in queries}
    prices = next(query for sql, query in by_text.items() if "FROM price_movements" in sql)
    assert prices.name.startswith("history")
    assert "500002" in str(prices.parameters)
    text = " ".join(by_text)
    for table in ("price_packs", "stock_packs", "change_log", "daily_predictions", "stocks"):
        assert table in text


def test_an_empty_market_has_its_queries_too(place: Place, store: Store) -> None:
    assert product_queries(tools_for(place.settings()).observed)
