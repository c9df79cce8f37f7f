"""What this package refuses, in words that say why."""


class ForestError(ValueError):
    """A forest that is malformed, or that the compiler cannot express."""
