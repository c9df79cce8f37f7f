"""The split by time: a model learns from samples that precede those it is evaluated on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.errors import TrainingError
from preprocess.market.calendar import from_day_number
from preprocess.training.card import PartName
from preprocess.training.dataset import Dataset

TRAIN_SHARE = 0.70
VALIDATION_SHARE = 0.15

# With fewer samples of a class in a part, its figures mean nothing.
LEAST_OF_A_CLASS = 5


@dataclass(frozen=True, slots=True)
class Split:
    """Three data sets, one after the other in time.

    `embargoed` counts the samples in none of them: announced before a part ends, but their outcome
    was not known before the next part begins.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    embargoed: int

    def parts(self) -> dict[PartName, Dataset]:
        """The three by name, in chronological order."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def split_by_time(dataset: Dataset) -> Split:
    """Cut a data set at two dates, with about 70 % and 85 % of its samples before them.

    All samples of one date are on the same side. A sample is in a part only if its outcome was
    known before the first day of the next part.

    Raises:
        TrainingError: there are fewer than three announcement dates.
    """
    distinct = np.unique(dataset.days)
    if len(distinct) < 3:
        raise TrainingError(
            f"There are labelled announcements on {len(distinct)} day(s) only, at least 3 are "
            f"needed: to train, to validate and to test on. {_MORE_DATA}"
        )
    size = len(dataset)
    # Each part gets at least one day, however the samples are distributed.
    first = _day_index(dataset, distinct, size * TRAIN_SHARE)
    first = int(np.clip(first, 1, len(distinct) - 2))
    second = _day_index(dataset, distinct, size * (TRAIN_SHARE + VALIDATION_SHARE))
    second = int(np.clip(second, first + 1, len(distinct) - 1))
    validation_begins, test_begins = distinct[first], distinct[second]

    days, known = dataset.days, dataset.outcome_days
    train = (days < validation_begins) & (known < validation_begins)
    validation = (days >= validation_begins) & (days < test_begins) & (known < test_begins)
    test = days >= test_begins
    return Split(
        train=dataset[train],
        validation=dataset[validation],
        test=dataset[test],
        embargoed=size - int(train.sum() + validation.sum() + test.sum()),
    )


def _day_index(dataset: Dataset, distinct: NDArray[np.int32], samples: float) -> int:
    day = dataset.days[min(int(samples), len(dataset) - 1)]
    return int(np.searchsorted(distinct, day))


def require_both_classes(split: Split) -> None:
    """Refuse a split on which a model cannot be fitted and evaluated.

    Raises:
        TrainingError: a part has too few positives or too few negatives.
    """
    for name, part in split.parts().items():
        positives, negatives = part.positives, len(part) - part.positives
        if min(positives, negatives) < LEAST_OF_A_CLASS:
            span = (
                f" ({from_day_number(part.days[0])} to {from_day_number(part.days[-1])})"
                if len(part)
                else ""
            )
            raise TrainingError(
                f"The {name} part{span} has {positives} positive and {negatives} negative "
                f"samples; at least {LEAST_OF_A_CLASS} of each are needed. {_MORE_DATA}"
            )


_MORE_DATA = (
    "Import more prices and results (`tezi import prices|financials FILE`), or make a demo "
    "market with `tezi demo`."
)
