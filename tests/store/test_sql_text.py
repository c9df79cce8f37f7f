"""SQL as text: what makes no difference is dropped, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocess.store.sql_text import Wanted, canonical, wanted_columns, words

SAME = "SELECT close FROM price_movements WHERE bse_code = ? AND volume IN(?, 2)"


@pytest.mark.parametrize(
    "sql",
    [
        "select close from price_movements where bse_code = ? and volume in (?, 2)",
        "  SELECT close\n\tFROM price_movements -- all of them\nWHERE bse_code = ?"
        " AND volume IN ( ?,2 ) ;",
        "SELECT/* the last */close FROM price_movements WHERE bse_code = ? AND volume IN(?,2);",
    ],
)
def test_blanks_comments_and_the_case_of_keywords_do_not_count(sql: str) -> None:
    assert canonical(sql) == canonical(SAME)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT 'a  b'", "SELECT 'a b'"),
        ("SELECT 'select'", "SELECT 'SELECT'"),
        ("SELECT 'it''s  x'", "SELECT 'it''s x'"),
        ('SELECT "a  b"', 'SELECT "a b"'),
        ("SELECT `a  b`", "SELECT `a b`"),
        ("SELECT [a  b]", "SELECT [a b]"),
        ("SELECT $$a  b$$", "SELECT $$a b$$"),
        ("SELECT $q$a  ' b$q$", "SELECT $q$a ' b$q$"),
        ("SELECT E'a\\'  b'", "SELECT E'a\\' b'"),
        ("SELECT ARRAY['a]  b']", "SELECT ARRAY['a] b']"),
        ("SELECT 'a -- b'", "SELECT 'a'"),
        ("SELECT x'41'", "SELECT x '41'"),
        ("SELECT a < = b", "SELECT a <= b"),
        ("SELECT 1 - -2", "SELECT 1 --2"),
        ("SELECT 1 / * 2", "SELECT 1 /* 2"),
        ("SELECT a.b", "SELECT a b"),
        ("SELECT 1.0", "SELECT 1 .0"),
        ("SELECT ab", "SELECT a b"),
        ("SELECT Close FROM t", "SELECT close FROM t"),  # PostgreSQL names the column alike, or not
        ("SELECT ?", "SELECT ?1"),
        ("SELECT 'open", "SELECT  'open"),
        ("SELECT /* /* a */ 1", "SELECT  /* /* a */ 1"),
    ],
)
def test_everything_else_counts(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


blank = st.sampled_from([" ", "\n", "\t ", " -- said\n", " /* said */ "])
piece = st.one_of(
    st.sampled_from(["SELECT", "close", "FROM", "=", "?", "42", "<=", "t.x", ","]),
    st.text("a '\n-*/x", max_size=6).map(lambda text: "'" + text.replace("'", "''") + "'"),
)


@given(st.lists(st.tuples(piece, blank, blank, st.booleans()), min_size=1, max_size=12))
def test_two_spellings_of_one_text_have_one_form(pieces: list[tuple[str, str, str, bool]]) -> None:
    first = "".join(text + before for text, before, _, _ in pieces)
    second = "".join(
        (text.lower() if low and text in ("SELECT", "FROM") else text) + after
        for text, _, after, low in pieces
    )
    assert canonical(first) == canonical(second)
    assert canonical(canonical(first)) == canonical(first)


@given(st.lists(st.text("aA'\" -/*\n;(),=", max_size=12), min_size=2, max_size=2, unique=True))
def test_texts_with_other_quoted_parts_never_share_a_form(texts: list[str]) -> None:
    one, other = ("SELECT '" + text.replace("'", "''") + "'" for text in texts)
    assert canonical(one) != canonical(other)


def test_columns_that_are_compared_and_sorted_by() -> None:
    sql = (
        "SELECT p.close FROM price_movements p JOIN stocks s ON s.bse_code = p.bse_code"
        ' WHERE p.volume > ? AND s.industry IN (?) AND "date" BETWEEN ? AND ? AND isin IS NULL'
        " GROUP BY s.status HAVING x = 1 ORDER BY close DESC, high LIMIT 5"
    )
    found = wanted_columns(sql)
    assert found == Wanted(
        ("bse_code", "industry", "isin", "x"), ("volume", "date"), ("status", "close", "high")
    )
    assert wanted_columns("SELECT 1 WHERE a = b.c AND 'k' = d").equal == ("a", "c", "d")


def test_names_in_a_text() -> None:
    assert {"price_movements", "t", "strange name"} <= words(
        'SELECT T."Strange Name" FROM price_movements T'
    )
    assert "price_movements" not in words("SELECT 'price_movements'")
