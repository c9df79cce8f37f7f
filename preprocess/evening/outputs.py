"""The files of a run: whole or not there, the same bytes for the same predictions."""

import csv
import fcntl
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from preprocess.errors import EveningError
from preprocess.evening.outcome import Skipped
from preprocess.evening.prediction import Prediction
from preprocess.evening.selection import Selection
from preprocess.repository.files import write_atomically
from preprocess.settings import Settings

COLUMNS = Prediction.__struct_fields__


@dataclass(frozen=True, slots=True)
class Places:
    """Where a run writes: its folder (report, journal, lock) and the two files of predictions."""

    folder: Path
    csv: Path
    json: Path

    @classmethod
    def of(
        cls, settings: Settings, selection: Selection, *, csv: Path | None, json: Path | None
    ) -> "Places":
        """reports/predictions/<date>/ of the data folder, and `sample/` in it for a few stocks."""
        folder = settings.home / "reports" / "predictions" / selection.day.isoformat()
        if not selection.whole:
            folder /= "sample"
        return cls(folder, csv or folder / "predictions.csv", json or folder / "predictions.json")


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Two runs that write to one folder would mix; the second one is told so.

    Raises:
        EveningError: another run is at work there, or the folder cannot be written.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "run.lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EveningError(
                f"Another `tezi predict-all` is at work in {folder}: wait until it is done."
            ) from None
        yield


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Failures of the block's writes as errors that say what to do.

    Raises:
        EveningError: something could not be written.
    """
    try:
        yield
    except OSError as error:
        raise EveningError(
            f"{error.filename or path} cannot be written: {error.strerror}. What is in the "
            "database stays; run the same command again when there is room and leave to write."
        ) from error


def csv_document(predictions: Sequence[Prediction]) -> bytes:
    """One line a prediction under a line of names; probabilities in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(msgspec.structs.astuple, predictions))
    return text.getvalue().encode()


def json_document(predictions: Sequence[Prediction], skipped: Sequence[Skipped]) -> bytes:
    """{"predictions": [...], "skipped": [{"bse_code", "reason"}]}."""
    left_out = [{"bse_code": row.bse_code, "reason": row.reason} for row in skipped]
    return msgspec.json.encode({"predictions": predictions, "skipped": left_out}) + b"\n"


def write_file(path: Path, content: bytes) -> None:
    """Make `content` the file's content in one step.

    Raises:
        EveningError: it cannot be written; what was there is there still.
    """
    with explained(path):
        write_atomically(path, content)
