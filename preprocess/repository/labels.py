"""Which version is stable, which is the candidate, and which was stable before.

The labels are stored in one file, which is replaced in one step and read by every gateway.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import msgspec

from preprocess.errors import ModelError
from preprocess.files import atomic_write

LABELS_FILE = "labels.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """`share` is the percentage of stocks that the candidate serves, or shadows.

    A shadow computes in addition to the stable version, and no caller gets its results.
    `generation` rises with every change. `newest` is the highest number ever used.
    """

    generation: int = 0
    stable: int | None = None
    previous: int | None = None
    candidate: int | None = None
    share: float = 0.0
    shadow: bool = False
    newest: int = 0
    changed_at: datetime | None = None

    @property
    def in_use(self) -> frozenset[int]:
        """The versions that have a label: these are never deleted."""
        labelled = (self.stable, self.previous, self.candidate)
        return frozenset(number for number in labelled if number is not None)

    def of(self, number: int) -> list[str]:
        """The labels of a version."""
        numbers = {"stable": self.stable, "candidate": self.candidate, "previous": self.previous}
        return [label for label, labelled in numbers.items() if labelled == number]

    def published(self, number: int) -> "Labels":
        """Record that `number` has been used."""
        return replace(self, newest=max(self.newest, number))

    def activated(self, number: int) -> "Labels":
        """`number` becomes stable, and stops being the candidate."""
        if number == self.stable:
            return self
        changed = replace(self, stable=number, previous=self.stable)
        return changed.without_candidate() if number == self.candidate else changed

    def rolled_back(self) -> "Labels":
        """Swap stable and previous.

        Raises:
            ModelError: there is no previous version.
        """
        if self.previous is None:
            raise ModelError(
                "There is no previous version to roll back to: this is the first stable one."
            )
        return self.activated(self.previous)

    def with_candidate(self, number: int, share: float, *, shadow: bool) -> "Labels":
        """`number` serves, or shadows, `share` per cent of the stocks.

        Raises:
            ModelError: it is the stable version, none is stable, or the share is not a percentage.
        """
        if self.stable is None:
            raise ModelError("No version is stable yet: `tezi activate` one first.")
        if number == self.stable:
            raise ModelError(f"Version {number} is the stable one and already serves everything.")
        if not 0.0 < share <= 100.0:
            raise ModelError(f"The share must be above 0 and at most 100 per cent, not {share:g}.")
        return replace(self, candidate=number, share=share, shadow=shadow)

    def without_candidate(self) -> "Labels":
        """All traffic goes to the stable version."""
        return replace(self, candidate=None, share=0.0, shadow=False)


def read_labels(versions_dir: Path) -> Labels:
    """Read the labels; without a file, those of an empty repository.

    Raises:
        ModelError: the file is damaged.
    """
    path = versions_dir / LABELS_FILE
    try:
        document = path.read_bytes()
    except FileNotFoundError:
        return Labels()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    try:
        return msgspec.json.decode(document, type=Labels)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path} is damaged ({error}). Delete it, and choose the stable version with "
            "`tezi activate`."
        ) from error


def write_labels(versions_dir: Path, before: Labels, after: Labels, *, now: datetime) -> Labels:
    """Replace `before` by `after` with the next generation; without a change nothing is written."""
    if after == before:
        return before
    after = replace(after, generation=before.generation + 1, changed_at=now)
    document = msgspec.json.format(msgspec.json.encode(after), indent=2) + b"\n"
    atomic_write(versions_dir / LABELS_FILE, document)
    return after
