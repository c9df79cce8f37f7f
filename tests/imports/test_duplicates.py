"""Keys already seen."""

from datetime import date, timedelta

from preprocess.imports.duplicates import SeenDays


def test_every_pair_is_new_once() -> None:
    seen = SeenDays()
    days = [date(1999, 1, 1) + timedelta(days=n) for n in range(800)]
    for code in ("500001", "500002"):
        assert all(seen.add(code, day) for day in days)
        assert not any(seen.add(code, day) for day in days)
