"""The local tier: what is forgotten is what a search of all of it would find."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.invalidation import Invalidation
from gateway.cache.keys import prediction_key, scope_of
from gateway.cache.local import LocalTier

STOCKS = [f"50000{number}" for number in range(6)]
KEYS = [
    *(prediction_key(code, f"2026-08-0{day}", 1, "fp32") for code in STOCKS for day in (1, 2, 3)),
    *(f"features:{code}:2026-08-01:x" for code in STOCKS),
    "query:one",
    "query:two",
    "prediction:none:x",
    "else",
]
PUT = st.tuples(st.just("put"), st.sampled_from(KEYS), st.integers(1, 20))
WAIT = st.tuples(st.just("wait"), st.just(""), st.integers(1, 10))
FORGET = st.tuples(
    st.just("forget"),
    st.sampled_from(
        [
            Invalidation.of(stocks=STOCKS[1:4]),
            Invalidation.of(kind="predictions", stocks=STOCKS[:2]),
            Invalidation.of(kind="predictions"),
            Invalidation(scopes=("queries", "features:500001")),
            Invalidation.of(),
            Invalidation.matching("prediction:500000:*"),
        ]
    ),
    st.just(0),
)


def meant(key: str, invalidation: Invalidation) -> bool:
    """By the definition, key by key."""
    return invalidation.everything or bool(set(scope_of(key).names) & set(invalidation.scopes))


@given(st.lists(PUT | WAIT | FORGET, max_size=80), st.integers(2, 12))
def test_what_is_forgotten_is_what_a_search_would_find(
    steps: list[tuple[str, str | Invalidation, int]], entries: int
) -> None:
    now = 0.0
    tier = LocalTier(entries, 1_000_000, clock=lambda: now)
    for what, of, number in steps:
        if isinstance(of, Invalidation):
            before, generation = tier.look(KEYS)
            gone = {key for key in before if meant(key, of)}
            assert tier.forget(of) == len(gone)
            assert set(tier.look(KEYS)[0]) == set(before) - gone
            assert not tier.keep(KEYS[0], b"begun before", now + 1, generation)
        elif what == "put":
            assert tier.keep(of, b"value", now + number, tier.look([])[1])
        else:
            now += number
    assert tier.size[0] <= entries
