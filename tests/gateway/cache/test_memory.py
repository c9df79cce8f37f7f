"""What a process holds: what is forgotten is what a search of all of it would find."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.invalidation import Invalidation
from gateway.cache.keys import prediction_key, scope_of
from gateway.cache.local import LocalTier
from gateway.cache.memory import Memory

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
            Invalidation.of(stocks=STOCKS[:1]),
            Invalidation.of(stocks=STOCKS[1:4]),
            Invalidation.of(kind="predictions", stocks=STOCKS[:2]),
            Invalidation.of(kind="features", stocks=STOCKS[2:]),
            Invalidation.of(kind="predictions"),
            Invalidation.of(kind="queries"),
            Invalidation(fences=("queries", "features:500001")),
            Invalidation.of(),
            Invalidation.matching("prediction:500000:*"),
        ]
    ),
    st.just(0),
)


def meant(key: str, invalidation: Invalidation) -> bool:
    """By the definition, key by key."""
    if invalidation.everything:
        return True
    return bool(set(scope_of(key).fences) & set(invalidation.fences))


@given(st.lists(st.one_of(PUT, WAIT, FORGET), max_size=80), st.integers(2, 12))
def test_what_is_forgotten_is_what_a_search_would_find(
    steps: list[tuple[str, str | Invalidation, int]], entries: int
) -> None:
    now = 0.0
    memory = Memory(entries, 1_000_000, clock=lambda: now)
    for what, of, number in steps:
        if isinstance(of, Invalidation):
            held = set(memory.look(KEYS)[0])
            gone = {key for key in held if meant(key, of)}
            assert memory.forget(of) == len(gone)
            assert set(memory.look(KEYS)[0]) == held - gone
        elif what == "put":
            assert memory.keep(of, b"value", now + number, memory.look([])[1])
        else:
            now += number
    assert memory.size[0] <= entries


def test_keys_that_ended_by_themselves_are_not_listed_for_ever() -> None:
    tier = LocalTier(10, 1_000_000, clock=lambda: 0.0)
    for number in range(1_000):
        tier.put(f"key {number}", b"", 1.0, f"group {number % 700}")
        assert tier._grouped == sum(map(len, tier._groups.values())) <= 20
    assert tier.drop_groups(f"group {number}" for number in range(700)) == 10
    assert (len(tier), tier._grouped, tier._groups) == (0, 0, {})


def test_a_key_that_is_put_again_is_listed_once() -> None:
    now = 0.0
    tier = LocalTier(10, 1_000_000, clock=lambda: now)
    for now in range(50):
        tier.put("key", b"", now + 0.5, "group")
    assert tier._groups == {"group": ["key"]}
    assert tier.drop_groups(["group", "another"]) == 1
    assert tier.drop_groups(["group"]) == 0


def test_what_is_dropped_whole_is_not_listed_any_more() -> None:
    tier = LocalTier(10, 1_000_000)
    tier.put("key", b"", 1e12, "group")
    assert tier.drop(lambda _: True) == 1
    assert (tier._grouped, tier._groups) == (0, {})
