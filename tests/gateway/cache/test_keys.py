"""Keys, their kinds and their stocks."""

from datetime import date

import pytest

from gateway.cache.keys import Scope, features_key, prediction_key, scope_of

DAY = date(2024, 1, 1)


def test_keys_say_what_they_are() -> None:
    assert features_key("500325", DAY, "ab12") == "features:500325:2024-01-01:ab12"
    assert (
        prediction_key("500325", DAY.isoformat(), 7, "int8")
        == "prediction:500325:2024-01-01:7:int8"
    )
    assert scope_of(features_key("500325", DAY, "x")) == Scope(("features", "features:500325"))
    assert scope_of(prediction_key("500325", DAY.isoformat(), 7, "x")) == Scope(
        ("predictions", "predictions:500325")
    )


@pytest.mark.parametrize(
    ("key", "scope"),
    [
        ("query:abc", Scope(("queries",))),
        ("query:500325:x", Scope(("queries",))),
        ("features:abc:x", Scope(("features",))),
        ("features", Scope(("others",))),
        ("call:f:1", Scope(("others",))),
        ("", Scope(("others",))),
    ],
)
def test_other_keys(key: str, scope: Scope) -> None:
    assert scope_of(key) == scope
