"""Ratios of bonuses and splits from the text of an exchange's notice."""

import re

_SPLIT_WORDS = r"face\s+val\w*\s+split|sub-?\s?division|stock\s+split|share\s+split|consolidation"

_OTHER_SECURITIES = r"(?:debentures?|ncds?|ncrps|(?:\S+\s+)?preference|warrants?|bonds?)\b"

# "Bonus 1:1", "Bonus- 1 : 2", "Bonus Issue In The Ratio Of 2 : 5": new shares for existing ones.
_BONUS = re.compile(
    r"\bbonus(?:\s+(?:issue|shares?|equity|in|the|ratio|of))*[\s:\-]*"
    rf"(\d+)\s*(?::|for)\s*(\d+)(?!\d)(?!\s*(?:of\s+)?{_OTHER_SECURITIES})",
    re.IGNORECASE,
)

# A bonus of debentures, preference shares or the like changes no number of shares.
_OTHER_BONUS = re.compile(rf"\bbonus\b[^/+]*\b{_OTHER_SECURITIES}", re.IGNORECASE)

# "Split From Rs 10/- Per Share To Re 1/- Per Share", "Split Rs 10 To Rs 1": face values.
_SPLIT = re.compile(
    rf"\b(?:{_SPLIT_WORDS}|split)\b.*?"
    r"\br[se]\.?\s*(\d+(?:\.\d+)?)\s*(?:/-)?\s*(?:per\s+(?:equity\s+)?share\s*)?"
    r"to\s+r[se]\.?\s*(\d+(?:\.\d+)?)",
    re.IGNORECASE,
)

_MENTIONS_BONUS = re.compile(r"\bbonus\b", re.IGNORECASE)
_MENTIONS_SPLIT = re.compile(rf"\b(?:{_SPLIT_WORDS})\b", re.IGNORECASE)


def bonus_ratio(subject: str) -> float | None:
    """Shares after a bonus for each share before: a:b gives a new shares for every b existing ones.

    None when the subject speaks of no bonus of shares that can be read.
    """
    match = _BONUS.search(subject)
    if match is None:
        return None
    new, existing = int(match[1]), int(match[2])
    return (new + existing) / existing if new and existing else None


def split_ratio(subject: str) -> float | None:
    """Shares after a split for each share before: the old face value over the new one.

    Below 1 for a consolidation. None when the subject speaks of no split that can be read.
    """
    match = _SPLIT.search(subject)
    if match is None:
        return None
    old, new = float(match[1]), float(match[2])
    return old / new if old and new and old != new else None


def is_of_other_securities(subject: str) -> bool:
    """Whether the bonus is one of debentures, preference shares or the like, not of shares."""
    return _BONUS.search(subject) is None and _OTHER_BONUS.search(subject) is not None


def mentions(kind: str, subject: str) -> bool:
    """Whether the subject says that there is a `bonus` or a `split`, readable or not."""
    pattern = _MENTIONS_BONUS if kind == "bonus" else _MENTIONS_SPLIT
    return pattern.search(subject) is not None
