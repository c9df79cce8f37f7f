"""What imports of the exchanges' files ask of a store, the same in both databases."""

from datetime import date, timedelta

from preprocess.market.values import Bar, CorporateAction, Filing, PriceBand, Tally
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
