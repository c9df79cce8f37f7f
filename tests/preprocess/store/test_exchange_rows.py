"""What imports of the exchanges' files ask of a store, the same in both databases."""

from datetime import date, timedelta

from preprocess.market.values import (
    Bar,
    CorporateAction,
    Filing,
    Identity,
    PriceBand,
    Stock,
    Tally,
)
from preprocess.store import Store

CODE, DAY = "500325", date(2024, 7, 9)


def test_bars_actions_bands_and_filings_read_back(store: Store) -> None:
    bars = [Bar(CODE, DAY + timedelta(days=n), 10, 12, 9, 11, 5 + n, 8.5) for n in (0, 3)]
    actions = [CorporateAction(DAY, kind, 2.0, "Bonus 1:1") for kind in ("bonus", "split")]
    listed = Filing(CODE, date(2024, 6, 30), "consolidated", "2024-07-19T18:05:11")
    filed = Filing(CODE, date(2024, 6, 30), "standalone", "2024-07-19", 1.5, -2.0, 3.0, 4.0)
    with store.transaction() as writer:
        writer.put_prices(bars)
        writer.put_actions([(CODE, action) for action in actions])
        assert writer.put_filings([listed, filed]) == Tally(2)
        bands = [PriceBand(CODE, DAY, 5.0, "NSE"), PriceBand("532540", DAY, None, "NSE")]
        assert writer.put_bands(bands) == Tally(2)
        assert writer.put_bands(bands) == Tally(0, 0, 2)
    with store.transaction() as writer:
        assert writer.bar_before(CODE, bars[1].day) == bars[0]
        assert writer.bar_before(CODE, DAY) is None
        assert writer.bars_on(bars[1].day, [CODE, "532540"]) == [bars[1]]
        writer.drop_action(CODE, DAY, "split")
        assert writer.actions_of(CODE) == actions[:1]
        assert set(writer.touched) == {CODE}
        found = writer.filings_of(CODE, filed.period_end)
    assert found[0] == filed
    assert (found[1].filed_at, found[1].basis) == (listed.filed_at, listed.basis)


def test_names_have_days_and_a_series_its_exchange(store: Store) -> None:
    names = [
        Identity(CODE, DAY, "INE002A01018", None),
        Identity(CODE, DAY + timedelta(days=3), "INE002A01026", "ALPHA"),
    ]
    with store.transaction() as writer:
        writer.put_prices([Bar(CODE, DAY, 10, 12, 9, 11, 5)])
        writer.put_stocks([Stock(CODE, price_exchange="NSE")])
        writer.put_identities(names)
    assert store.identities() == names
    with store.transaction() as writer:
        writer.put_prices([Bar(CODE, DAY + timedelta(days=1), 10, 12, 9, 11, 5)])
        writer.put_stocks([Stock(CODE, company_name="Alpha")])
        writer.put_identities(names[1:])
        assert set(writer.only_repriced) == {CODE}  # a name is in no feature
    assert store.identities() == names[1:]
    assert (store.stocks()[0].company_name, store.stocks()[0].price_exchange) == ("Alpha", "NSE")
