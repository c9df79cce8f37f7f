"""Packs as they are read: all of the rows that were announced, and no more."""

import numpy as np
import pytest

from preprocess.store.packs import PackCollector, price_pack


@pytest.mark.parametrize("announced", [1, 3])
def test_other_than_the_announced_rows_are_refused(announced: int) -> None:
    collector = PackCollector("prices", np.array([announced]))
    for day in (19_000, 19_001):
        collector.add([price_pack([(day, 0, 1.0, 1.0, 1.0)])])
    with pytest.raises(ValueError, match=f"2 packed rows instead of {announced}"):
        collector.table()


def test_the_rows_are_those_of_the_packs() -> None:
    collector = PackCollector("prices", np.array([2, 0, 1]))
    packs = [price_pack([(19_000, 0, 1.0, 2.0, 3.0), (19_001, 1, 4.0, 5.0, 6.0)])]
    collector.add([*packs, price_pack([]), price_pack([(18_000, 0, 7.0, 8.0, 9.0)])])
    table = collector.table()
    assert table.starts.tolist() == [0, 2, 2, 3]
    assert table["day"].tolist() == [19_000, 19_001, 18_000]
    assert table["close"].tolist() == [2.0, 5.0, 8.0]
