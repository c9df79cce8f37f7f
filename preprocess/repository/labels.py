"""Which version is stable, which is the candidate, and which was stable before.

One file, replaced in one step, holds the labels: every gateway reads it, and it outlives them.
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
    """`share` is the percentage of stocks that the candidate answers, or shadows.

    A shadow computes beside the stable version; no caller reads its answers. `generation` rises
    with every change. `newest` is the highest number that was ever given out.
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
        """The versions that carry a label: these are never dropped."""
        labelled = (self.stable, self.previous, self.candidate)
        return frozenset(number for number in labelled if number is not None)

    def of(self, number: int) -> list[str]:
        """The labels that a version carries."""
        carried = {"stable": self.stable, "candidate": self.candidate, "previous": self.previous}
        return [label for label, labelled in carried.items() if labelled == number]

    def published(self, number: int) -> "Labels":
        """Remember that `number` was given out."""
        return replace(self, newest=max(self.newest, number))

    def activated(self, number: int) -> "Labels":
        """`number` becomes stable; a candidate that it was, it is no longer."""
        if number == self.stable:
            return self
        changed = replace(self, stable=number, previous=self.stable)
        return changed.without_candidate() if number == self.candidate else changed

    def rolled_back(self) -> "Labels":
        """Stable and previous change places.

        Raises:
            ModelError: nothing was stable before.
        """
        if self.previous is None:
            raise ModelError(
                "There is no previous version to go back to: none was activated before this one."
            )
        return self.activated(self.previous)

    def with_candidate(self, number: int, share: float, *, shadow: bool) -> "Labels":
        """`number` answers, or shadows, `share` per cent of the stocks.

        Raises:
            ModelError: it is the stable version, nothing is stable, or the share is no percentage.
        """
        if self.stable is None:
            raise ModelError("No version is stable yet: `tezi activate` one first.")
        if number == self.stable:
            raise ModelError(f"Version {number} is the stable one, and answers everything already.")
        if not 0.0 < share <= 100.0:
            raise ModelError(f"The share must be above 0 and at most 100 per cent, not {share:g}.")
        return replace(self, candidate=number, share=share, shadow=shadow)

    def without_candidate(self) -> "Labels":
        """All traffic goes to the stable version."""
        return replace(self, candidate=None, share=0.0, shadow=False)


def read_labels(versions_dir: Path) -> Labels:
    """The labels; those of an empty repository when there is no file.

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
            f"{path} is damaged ({error}). Delete it, and say with `tezi activate` what serves."
        ) from error


def write_labels(versions_dir: Path, before: Labels, after: Labels, *, now: datetime) -> Labels:
    """Put `after` in the place of `before`, a generation on; no change writes nothing."""
    if after == before:
        return before
    after = replace(after, generation=before.generation + 1, changed_at=now)
    document = msgspec.json.format(msgspec.json.encode(after), indent=2) + b"\n"
    atomic_write(versions_dir / LABELS_FILE, document)
    return after
