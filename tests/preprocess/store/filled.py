"""Small markets."""

from datetime import date

from preprocess.market.values import CircuitLabel, CorporateAction, StaticRow
from preprocess.store import Store
from tests.builders import bars, result


def fill(store: Store, codes: list[str]) -> None:
    """Stocks with prices, results, a split, a label and a stamp, all different."""
    with store.transaction() as writer:
        for number, code in enumerate(codes):
            closes = [50.0 + number + (row * 7 % 13) / 4 for row in range(60)]
            writer.put_prices(bars(code, closes))
            writer.put_results([(code, result(2024, 2, revenue=100.0 + number))])
            writer.put_actions([(code, CorporateAction(date(2024, 2, 1), "split", 2.0, "2 for 1"))])
            writer.replace_labels(
                code, [CircuitLabel(date(2024, 2, 5), date(2024, 2, 6), 1.0 + number, 0)]
            )
            writer.put_statics([(code, StaticRow("2024-02", "Steel", 1, 10.0, number % 3))])
