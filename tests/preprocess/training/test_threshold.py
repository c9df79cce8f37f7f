"""The threshold with the greatest F1."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from preprocess.training.evaluation import choose_threshold


def test_by_hand() -> None:
    # At 0.4: 2 hits of 3 predicted, 2 positives: F1 = 4 / 5, the greatest.
    probabilities = np.array([0.9, 0.6, 0.4, 0.2, 0.1])
    y = np.array([1, 0, 1, 0, 0], dtype=np.int8)
    assert choose_threshold(probabilities, y) == 0.3


def test_of_equal_ones_the_highest() -> None:
    # F1 is 2/3 from 0.9 on (1 hit of 1, 2 positives) and 2/3 again from 0.2 on (2 of 4).
    probabilities = np.array([0.9, 0.6, 0.5, 0.2])
    y = np.array([1, 0, 0, 1], dtype=np.int8)
    assert 0.6 < choose_threshold(probabilities, y) < 0.9


def test_all_positive_lies_below_the_lowest() -> None:
    threshold = choose_threshold(np.array([0.5, 0.25]), np.array([1, 1], dtype=np.int8))
    assert 0.0 < threshold < 0.25


def test_a_short_decimal_clear_of_both_neighbours() -> None:
    y = np.array([1, 0], dtype=np.int8)
    assert choose_threshold(np.array([0.168_301, 0.167_899]), y) == 0.168
    assert choose_threshold(np.array([0.168_240, 0.168_161]), y) == 0.1682


def test_never_between_answers_that_rounding_could_swap() -> None:
    probabilities = np.array([0.5, 0.5 - 1e-7, 0.2])
    # The cut between the first two would be best, but float32 cannot keep them apart.
    threshold = choose_threshold(probabilities, np.array([1, 0, 0], dtype=np.int8))
    assert 0.2 < threshold < 0.5 - 1e-6


def test_tiny_probabilities_still_give_one() -> None:
    threshold = choose_threshold(np.array([3e-19, 2e-19]), np.array([1, 0], dtype=np.int8))
    assert threshold == pytest.approx(2.5e-19)


@given(
    st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=60).filter(
        lambda pairs: any(positive for _, positive in pairs)
    )
)
def test_no_other_cut_does_better(pairs: list[tuple[int, bool]]) -> None:
    probabilities = np.array([level / 50 for level, _ in pairs])
    y = np.array([positive for _, positive in pairs], dtype=np.int8)
    chosen = f1(y, probabilities >= choose_threshold(probabilities, y))
    best = max(f1(y, probabilities >= cut) for cut in probabilities)
    assert chosen == pytest.approx(best)


def f1(y: NDArray[np.int8], predicted: NDArray[np.bool_]) -> float:
    return float(2 * (y & predicted).sum() / (y.sum() + predicted.sum()))
