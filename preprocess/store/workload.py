"""The queries that the product runs, as the store itself runs them.

They are not kept as a list of SQL, which would drift: every read of the interface is called once
with a sample of the market, and what reaches the database is written down.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date

from preprocess.store.base import Store
from preprocess.store.sql_text import canonical
from preprocess.store.statements import Observer, Parameters, Statement


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A query with parameters to try it with; `source` says who runs it."""

    name: str
    sql: str
    parameters: Parameters
    source: str = "product"


@dataclass(frozen=True, slots=True)
class Sample:
    """What the reads are called with: one stock and the newest day of any price."""

    bse_code: str
    day: date

    @classmethod
    def of(cls, store: Store) -> "Sample":
        """The stock in the middle of the market; a made-up one where there is none."""
        codes = store.bse_codes()
        days = store.price_days()
        return cls(
            codes[len(codes) // 2] if codes else "000000", days[1] if days else date(2026, 1, 1)
        )


# By the method's name, so that a test sees a read that is missing here.
READS: Mapping[str, Callable[[Store, Sample], object]] = {
    "history": lambda store, sample: store.history(sample.bse_code),
    "histories": lambda store, sample: list(store.histories([sample.bse_code])),
    "columns": lambda store, sample: (store.columns(), store.columns([sample.bse_code])),
    "bse_codes": lambda store, _: store.bse_codes(),
    "stocks": lambda store, _: store.stocks(),
    "listings": lambda store, _: store.listings(),
    "sector_codes": lambda store, _: store.sector_codes(),
    "stamped_months": lambda store, _: store.stamped_months(),
    "predictions": lambda store, sample: store.predictions(sample.day, 1),
    "price_days": lambda store, _: store.price_days(),
    "span": lambda store, _: store.span(),
    "sequence": lambda store, _: store.sequence(),
    "mark": lambda store, _: store.mark(),
    "has_mark": lambda store, _: store.has_mark(store.mark()),
    "changes_since": lambda store, _: store.changes_since(max(0, store.sequence() - 1)),
}

_QUERY = re.compile(r"\s*(SELECT|WITH)\b", re.IGNORECASE)


def is_query(sql: str) -> bool:
    """Whether `sql` reads rows and does nothing else, by its first word."""
    return _QUERY.match(sql) is not None


def product_queries(
    opened: Callable[[Observer], AbstractContextManager[Store]],
) -> list[NamedQuery]:
    """Each query once, under the name of the first read that runs it.

    `opened` opens the store with an observer of its statements.
    """
    heard: list[Statement] = []
    found: dict[str, NamedQuery] = {}
    with opened(heard.append) as store:
        sample = Sample.of(store)
        for name, read in READS.items():
            heard.clear()
            read(store, sample)
            for query in _queries(name, heard):
                found.setdefault(canonical(query.sql), query)
    return list(found.values())


def _queries(name: str, heard: list[Statement]) -> Iterator[NamedQuery]:
    distinct = {canonical(said.sql): said for said in heard if is_query(said.sql)}
    for number, said in enumerate(distinct.values(), start=1):
        suffix = f"/{number}" if len(distinct) > 1 else ""
        yield NamedQuery(f"{name}{suffix}", said.sql, said.parameters)
