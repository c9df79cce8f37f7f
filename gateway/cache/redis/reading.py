"""How values and the fences that they stand behind are asked for, and what the answers mean.

Values and fences come in one round trip, the fences after the values: a value that passes was
current when Redis answered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.cache.codec import Sealed, Stamp, unseal
from gateway.cache.keys import scope_of
from preprocess.errors import CacheError

# Every key of Tezi in Redis begins with this; the number is that of the envelope's form.
PREFIX = "tezi:3:"
VALUES = f"{PREFIX}value:"
FENCES = f"{PREFIX}fences"
LOG = f"{PREFIX}log"
LEASES = f"{PREFIX}leases"
SEEN = f"{PREFIX}seen"
CHANNEL = f"{PREFIX}news"
SCRIPT_KEYS = (FENCES, LOG, LEASES, SEEN)

_STATE = ("epoch", "number")


@dataclass(frozen=True, slots=True)
class Reading:
    """The values that are held and current, and the state of the fences at that moment.

    `spoilt` are keys under which lies what is no value.
    """

    values: Mapping[str, Sealed]
    stamp: Stamp | None
    spoilt: tuple[str, ...] = ()

    def of(self, keys: Sequence[str]) -> "Reading":
        """The same of some of the keys."""
        found = {key: self.values[key] for key in keys if key in self.values}
        return Reading(found, self.stamp, tuple(key for key in self.spoilt if key in keys))


@dataclass(frozen=True, slots=True)
class Question:
    """The keys of a reading, and what has to be asked of Redis for them."""

    keys: Sequence[str]

    @property
    def places(self) -> list[str]:
        """The keys in Redis, for MGET."""
        return [VALUES + key for key in self.keys]

    @property
    def fields(self) -> list[str]:
        """The fields of the fences, for HMGET."""
        return [*_STATE, *self._fences()]

    def read(self, answers: object) -> Reading:
        """What the answers to MGET and HMGET say.

        Raises:
            ValueError: these are no answers to this question.
        """
        if not isinstance(answers, list) or len(answers) != 2:
            raise ValueError("Redis gave something else than two answers")
        envelopes, state = answers
        for part, length in ((envelopes, len(self.keys)), (state, len(self.fields))):
            if isinstance(part, Exception):
                raise part
            if not isinstance(part, list) or len(part) != length:
                raise ValueError("Redis gave a list of another length")
        epoch, number, *raised = state
        if not isinstance(epoch, bytes):
            return Reading({}, None)
        fences = {name: int(found or 0) for name, found in zip(self._fences(), raised, strict=True)}
        values: dict[str, Sealed] = {}
        spoilt: list[str] = []
        for key, envelope in zip(self.keys, envelopes, strict=True):
            if envelope is None:
                continue
            sealed = _opened(key, envelope)
            if sealed is None:
                spoilt.append(key)
            elif _is_current(key, sealed.stamp, epoch, fences):
                values[key] = sealed
        return Reading(values, Stamp(epoch, int(number)), tuple(spoilt))

    def _fences(self) -> list[str]:
        return list(dict.fromkeys(name for key in self.keys for name in scope_of(key).fences))


def _opened(key: str, envelope: object) -> Sealed | None:
    if not isinstance(envelope, bytes):
        return None
    try:
        return unseal(key, envelope)
    except CacheError:
        return None


def _is_current(key: str, stamp: Stamp, epoch: bytes, fences: Mapping[str, int]) -> bool:
    return stamp.epoch == epoch and all(
        fences[name] <= stamp.number for name in scope_of(key).fences
    )
