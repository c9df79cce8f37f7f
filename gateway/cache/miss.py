"""What a cache gives for a key that it does not hold; None, False and 0 are values as well."""

from typing import Final

MISS: Final = object()
