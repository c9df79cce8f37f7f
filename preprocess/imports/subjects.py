"""Corporate actions and their ratios from the text of an exchange's notice.

Subjects have been abbreviated by hand for forty years, so they are read as a small language: words
become tokens by their beginnings (SPL, SPLT, SPLIT), and each word of an action begins a clause. A
bonus or a split needs exactly two numbers in its clause, joined by what joins such numbers, and
nothing that gives them another meaning. What speaks of one and cannot be read is refused: a missed
split is a fall of 90 % in the features.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

KINDS = ("bonus", "split", "rights", "demerger")

# Kinds of token, first match first. A number may be glued to the words around it: RS10TORS5.
_TOKENS = {
    "number": r"\d{1,3}(?:,\d{2})*,\d{3}(?:\.\d+)?|\d+(?:\.\d+)?",
    # "Rs .50" is 50 paise or Rs 50; what was called off is no action, and its day may be another's
    "doubt": r"(?<=\s)\.(?=\d)|pais[ea]\b|ps\b|cancel\w*|withdr\w*|postpon\w*|defer\w*",
    "other": (
        r"(?:special|spl|final|fin|interim|int)?[\s.-]*(?:div(?![a-z])|dividends?\b)"
        r"|agm\b|egm\b|(?:annual|extra\s?ordinary)\s+general\s+meeting|interest\b|buy\s?-?back"
        r"|capital\s+reduction|redemption|return\s+of\s+capital"
    ),
    "merger": r"amalgamation|merger\b",
    "split": (
        r"sub[\s-]*d\w*|consolidat(?:ion|e)\b|consol\b|split\w*|splt\b|splt?(?=[\s.:(/-]|\d|r[se])"
    ),
    "face": r"face\s*val\w*|f\s*\.?\s*v(?![a-z])\.?|fv(?=\s*spl)",
    "demerger": r"de-?\s?merger\w*|spin-?\s?off",
    "rights": r"rights?\b|rgts?\b",
    "bonus": r"bon[uo]+s|bouns|bon(?![a-z])|bns\b",
    "paper": (
        r"dvrs?\b|deb(?:entures?)?(?![a-z])|[nfcop]cds?\b|n?crps\b|[co]cps\b|rps\b|pref\w*"
        r"|warrants?\b|bonds?\b"
    ),
    "scheme": r"sch(?:eme)?\b",
    "rupees": r"r[se]\b\.?|r[se]\.?(?=\s*\d)|inr\b|rupees?\b|₹",
    "to": r"(?:in)?to(?![a-z])|to(?=r[se])",
    "for": r":|for(?:\s+every)?(?![a-z])",
    "held": r"existing\b|held\b|old\b",
    "dash": r"-",
    "clause": r"/(?!\s*-)|\+|&|;|,|and\b",
    "word": r"[a-z]+",
    "mark": r"\S",
}
_TOKEN = re.compile("|".join(f"(?P<{name}>{form})" for name, form in _TOKENS.items()))
_MONTH = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = re.compile(rf"\b\d{{1,2}}[-/. ](?:\d{{1,2}}|(?:{_MONTH})[a-z]*)[-/., ]+\d{{2,4}}\b")

Token = tuple[str, str]


class UnreadableError(Exception):
    """A notice speaks of a bonus or a split (`kind`) whose ratio cannot be read.

    `others` are the actions in it that can.
    """

    def __init__(self, kind: str, others: dict[str, float | None]) -> None:
        super().__init__(kind)
        self.kind = kind
        self.others = others


def actions_in(subject: str) -> dict[str, float | None]:
    """The actions that a notice names, each with shares after it for each share before.

    The ratio is None for rights, demergers and a bonus of other paper, which change no number of
    shares.

    Raises:
        UnreadableError: there is a bonus or split without one clear ratio.
    """
    text = _DATE.sub(" ", subject.lower())
    tokens = [(match.lastgroup or "", match.group()) for match in _TOKEN.finditer(text)]
    named = {name for name, _ in tokens}
    found: dict[str, float | None] = {}
    unreadable = None
    for kind, clause in _clauses(tokens):
        try:
            ratio = _ratio(kind, clause)
        except ValueError:
            if kind == "split" and "demerger" in named and not _numbers(clause):
                continue  # "Demerger: split of the cement business"
            unreadable = kind
            continue
        if None not in (ratio, found.get(kind)) and found[kind] != ratio:
            unreadable = kind
        found[kind] = found.get(kind) or ratio
    if not found and not unreadable and "paper" not in named:
        unreadable = _unclaimed(tokens)
    if unreadable:
        found.pop(unreadable, None)
        raise UnreadableError(unreadable, found)
    if "scheme" in named and not found:
        found["demerger"] = None  # what leaves the company under a scheme has no other name
    return found


def _clauses(tokens: list[Token]) -> Iterator[tuple[str, list[Token]]]:
    """The actions in the order of their words, each with the tokens that belong to it."""
    kind, clause = "", list[Token]()
    before: list[Token] = []  # "1:1 Bonus Issue": numbers before the first word of an action
    for name, text in tokens:
        if name in (*KINDS, "other", "merger") and not (name == kind and name != "bonus"):
            if kind in KINDS:
                yield kind, clause
            kind, clause = name, before
            before = []
        elif kind:
            clause.append((name, text))
        else:
            before.append((name, text))
    if kind in KINDS:
        yield kind, clause


def _numbers(clause: list[Token]) -> list[float]:
    return [float(text.replace(",", "")) for name, text in clause if name == "number"]


def _ratio(kind: str, clause: list[Token]) -> float | None:
    """Shares after an action for each share before.

    Raises:
        ValueError: the clause does not say it clearly.
    """
    if kind not in ("bonus", "split"):
        return None
    if any(name == "doubt" for name, _ in clause):
        raise ValueError
    papers = any(name == "paper" for name, _ in clause)
    if kind == "bonus" and papers and len(_numbers(clause)) <= 2:
        end = [name for name, _ in clause].index("paper")
        # "1:1 And Warrants" is a bonus of shares, "1:20 Dvr" and "1 Dvr : 10" are not.
        apart = any(name == "clause" for name, _ in clause[:end])
        return _bonus(clause) if apart and len(_numbers(clause[:end])) == 2 else None
    return _bonus(clause) if kind == "bonus" else _split(clause)


def _bonus(clause: list[Token]) -> float:
    """New shares a:b for existing ones."""
    new, existing = _numbers(clause)
    between = _between(clause)
    if not new or not existing or "for" not in between or "held" in between:
        raise ValueError
    return 1 + new / existing


def _split(clause: list[Token]) -> float:
    """The old face value over the new one; below 1 for a consolidation."""
    found_at = [at for at, (name, _) in enumerate(clause) if name == "number"]
    numbers = _numbers(clause)
    if len(numbers) > 2:
        # "1 Share Of Rs 10 Into 5 Shares Of Rs 2": face values, and counts that agree with them.
        valued = [at for at in found_at if at and clause[at - 1][0] == "rupees"]
        counts = [n for at, n in zip(found_at, numbers, strict=True) if at not in valued]
        numbers = [n for at, n in zip(found_at, numbers, strict=True) if at in valued]
        if len(numbers) == 2 and not set(counts) <= {1.0, numbers[0] / (numbers[1] or 1)}:
            raise ValueError
        found_at = valued
    old, new = numbers
    between = [name for name, _ in clause[found_at[0] + 1 : found_at[1]]]
    joined = "to" in between or ("dash" in between and "rupees" in between)
    if not old or not new or old == new or not joined:
        raise ValueError
    return old / new


def _between(clause: list[Token]) -> list[str]:
    """The kinds of token between the first two numbers."""
    names = [name for name, _ in clause]
    first = names.index("number")
    return names[first + 1 : names.index("number", first + 1)]


def _unclaimed(tokens: list[Token]) -> str | None:
    """The kind that a ratio without a word of an action may be of: "Bnus 1:1", "Spilt 10 To 2"."""
    names = [name for name, _ in tokens]
    found_at = [at for at, name in enumerate(names) if name == "number"]
    for first, second in pairwise(found_at):
        between = tokens[first + 1 : second]
        joined = {name for name, _ in between}
        if "merger" in names[:first] or joined & {"clause", "other"}:
            continue
        if (":" if "other" in names else "for") in (joined | {text for _, text in between}):
            return "bonus"
        if "to" in joined:
            return "split"
    return None
