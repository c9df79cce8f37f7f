"""Units of money in column names: `Net Profit (Rs. lakh)`, `revenue_cr`."""

import re

CRORES_IN = {"crore": 1.0, "lakh": 1e-2, "million": 1e-1, "rupees": 1e-7}

_SPELLINGS = {
    "crore": r"crores?|cr",
    "lakh": r"lakhs?|lacs?",
    "million": r"millions?|mn",
    "rupees": r"rupees?|rs|inr",
}
_UNIT = re.compile(
    r"[ _]*[(\[]?(?:in )?(?:(?:rs|inr|₹)[. ]*(?:in )?)?(?:"
    + "|".join(f"(?P<{unit}>{words})" for unit, words in _SPELLINGS.items())
    + r")\.?[)\]]?",
    re.IGNORECASE,
)


def unit_of(text: str) -> str | None:
    """The unit that a text names, alone or at the end of a column's name."""
    match = re.search(rf"(?:(?<=[ _(\[])|^){_UNIT.pattern}$", text, re.IGNORECASE)
    return match.lastgroup if match else None


def without_unit(name: str) -> str:
    """A column's name without its unit."""
    return re.sub(rf"(?:(?=[ _(\[])){_UNIT.pattern}$", "", name, flags=re.IGNORECASE)
