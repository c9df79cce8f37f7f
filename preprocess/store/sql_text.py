"""SQL as text: its canonical form for cache keys, the columns that it compares and sorts by.

Nothing here understands SQL. What the canonical form leaves alone costs a second computation, and
what the columns propose is tried out before anyone believes it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*(?:\n|\Z)|/\*(?:(?!/\*|\*/).)*\*/)
    |(?P<quoted>
        (?:[xXbBnN]|[uU]&)?'(?:[^']|'')*'
        |(?:[uU]&)?"(?:[^"]|"")*"
        |`(?:[^`]|``)*`
        |\[[^\]]*\]
        |\$(?P<tag>[A-Za-z_]\w*)?\$.*?\$(?P=tag)?\$
     )
    |(?P<word>[^\W\d]\w*)
    |(?P<number>\d[\w.]*|\.\d\w*)
    |(?P<holder>\?\d*|[:@$]\w+|%s|%\(\w+\)s)
    |(?P<sign><>|<=|>=|!=|==|\|\||::|.)
    """,
    re.VERBOSE | re.DOTALL,
)

# Words that no query uses as a bare column name: their case says nothing.
_KEYWORDS = frozenset(
    re.findall(
        "[A-Z]+",
        "SELECT FROM WHERE AND OR NOT IN IS NULL BETWEEN LIKE EXISTS CASE WHEN THEN ELSE END AS ON"
        " JOIN LEFT RIGHT INNER OUTER CROSS FULL NATURAL USING GROUP ORDER BY HAVING LIMIT OFFSET"
        " ASC DESC DISTINCT ALL UNION INTERSECT EXCEPT WITH RECURSIVE VALUES CAST COLLATE",
    )
)
_OPENERS, _CLOSERS = ("(", ","), (")", ",")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of SQL: `kind` is space, quoted, word, number, holder or sign."""

    kind: str
    text: str

    @property
    def keyword(self) -> str:
        """The word in capitals if it is a keyword, else empty."""
        upper = self.text.upper() if self.kind == "word" else ""
        return upper if upper in _KEYWORDS else ""


def tokens(sql: str) -> Iterator[Token]:
    """The pieces of `sql`, in order, blanks and comments included."""
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup if match.lastgroup != "tag" else "quoted"
        yield Token(str(kind), match.group())


def canonical(sql: str) -> str:
    """`sql` without what makes no difference: blanks, comments, the case of keywords.

    Names and whatever is quoted stay as they are. A text that another dialect might cut up in
    another way (a backslash, a bracket, a nested comment, an open quote) is returned unchanged.
    """
    if "\\" in sql or "[" in sql or _doubtful(sql):
        return sql.strip()
    words: list[str] = []
    blank = False
    for token in tokens(sql):
        if token.kind == "space":
            blank = True
            continue
        text = token.keyword or token.text
        if words and blank and words[-1] not in _OPENERS and text not in (*_CLOSERS, "("):
            words.append(" ")
        words.append(text)
        blank = False
    return "".join(words).rstrip("; ")


def _doubtful(sql: str) -> bool:
    """Whether a quote or a comment is left open or nested."""
    return any(
        token.kind == "sign" and token.text in ("'", '"', "`") for token in tokens(sql)
    ) or any(first.text + second.text in ("/*", "*/") for first, second in _neighbours(tokens(sql)))


def _neighbours(pieces: Iterator[Token]) -> Iterator[tuple[Token, Token]]:
    before = next(pieces, None)
    for piece in pieces:
        if before is not None:
            yield before, piece
        before = piece


def words(sql: str) -> set[str]:
    """Every bare or quoted name in `sql`, in small letters."""
    return {
        token.text.strip('"`[]').lower()
        for token in tokens(sql)
        if token.kind == "word" or (token.kind == "quoted" and token.text[:1] in '"`[')
    }


def with_percent_marks(sql: str) -> str:
    """`sql` with psycopg2's marks for its `?` and `:name`, and its own percent signs doubled."""
    parts = []
    for token in tokens(sql):
        if token.kind == "holder" and token.text == "?":
            parts.append("%s")
        elif token.kind == "holder" and token.text[0] == ":":
            parts.append(f"%({token.text[1:]})s")
        else:
            parts.append(token.text.replace("%", "%%"))
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Columns by what a query does with them, each in the order of its first mention."""

    equal: tuple[str, ...]
    ranged: tuple[str, ...]
    sorted_by: tuple[str, ...]


_RANGES = frozenset(["<", ">", "<=", ">=", "BETWEEN", "LIKE"])
_EQUALS = frozenset(["=", "==", "IN", "IS"])
_SORTED_UNTIL = frozenset(["LIMIT", "HAVING", "OFFSET", "UNION"])


def wanted_columns(sql: str) -> Wanted:
    """The names that stand before a comparison, and those after ORDER BY or GROUP BY."""
    pieces = [token for token in tokens(sql) if token.kind != "space"]
    equal: dict[str, None] = {}
    ranged: dict[str, None] = {}
    ordered: dict[str, None] = {}
    sorting = False
    for place, token in enumerate(pieces):
        after = pieces[place + 1] if place + 1 < len(pieces) else None
        operator = (after.keyword or after.text) if after else ""
        if token.keyword == "BY":
            sorting = True
        elif token.keyword in _SORTED_UNTIL or token.text == ")":
            sorting = False
        if token.kind not in ("word", "quoted") or token.keyword or token.text[:1] == "'":
            continue
        name = token.text.strip('"`[]').lower()
        if operator in _EQUALS:
            equal.setdefault(name)
        elif operator in _RANGES:
            ranged.setdefault(name)
        elif sorting and operator != ".":
            ordered.setdefault(name)
        # ... = name, and ... = other.name
        start = place - 2 if place and pieces[place - 1].text == "." else place
        if start and pieces[start - 1].text == "=" and operator not in ("(", "."):
            equal.setdefault(name)
    return Wanted(tuple(equal), tuple(ranged), tuple(ordered))
