"""Redis's glob patterns, for keys that Redis does not hold."""

import re


def glob(pattern: str) -> "re.Pattern[str]":
    """A pattern of Redis (`*`, `?`, `[abc]`, `[^a-c]`, a backslash before either) as a regex."""
    parts: list[str] = []
    place = 0
    while place < len(pattern):
        sign = pattern[place]
        place += 1
        if sign == "*":
            parts.append(".*")
        elif sign == "?":
            parts.append(".")
        elif sign == "\\" and place < len(pattern):
            parts.append(re.escape(pattern[place]))
            place += 1
        elif sign == "[" and (end := pattern.find("]", place + 1)) > 0:
            chosen = pattern[place:end]
            negated = chosen.startswith("^")
            inner = re.sub(r"([\\\[\]^&~|])", r"\\\1", chosen[negated:])
            parts.append(f"[{'^' * negated}{inner}]")
            place = end + 1
        else:
            parts.append(re.escape(sign))
    return re.compile("".join(parts), re.DOTALL)
