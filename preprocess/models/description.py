"""What a graph says of the model in it."""

from dataclasses import dataclass
from typing import Protocol

from preprocess.features.manifest import FEATURE_NAMES, feature_hash


class Described(Protocol):
    """The part of a model's card that its graphs carry."""

    @property
    def model_id(self) -> str:
        """Which model it is."""
        ...

    @property
    def family(self) -> str:
        """The library that fitted it."""
        ...

    @property
    def threshold(self) -> float:
        """The probability from which the label is 1."""
        ...

    @property
    def features(self) -> tuple[str, ...]:
        """What it takes, in order."""
        ...

    @property
    def feature_hash(self) -> str:
        """The hash of those names."""
        ...


@dataclass(frozen=True, slots=True)
class Description:
    """Of a model without a card: it takes the manifest's features."""

    model_id: str
    family: str
    threshold: float = 0.5
    features: tuple[str, ...] = FEATURE_NAMES
    feature_hash: str = feature_hash()
