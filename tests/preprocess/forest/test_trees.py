"""What a forest says of itself, and thresholds of trees that ask x <= t."""

import numpy as np

from preprocess.forest.trees import below_or_at
from tests.preprocess.forest.forests import forest_of


def test_what_it_says_of_itself() -> None:
    forest = forest_of([(0, 0.5, False, (1.0,), (1, 1.5, True, (3.0,), (4.0,))), (2.0,)])
    assert (forest.trees, forest.size, forest.depth) == (2, 6, 2)
    assert forest.widths == [1, 1]
    assert forest.tree_of_node.tolist() == [0, 0, 0, 0, 0, 1]
    assert forest.is_leaf.tolist() == [False, True, False, True, True, True]


def test_at_most_is_below_the_next_number() -> None:
    thresholds = np.array([1.0, 0.0, -0.0, np.inf, np.finfo(np.float32).max], dtype=np.float32)
    found = below_or_at(thresholds)
    for threshold, below in zip(thresholds[:3], found[:3], strict=True):
        for x in (threshold, np.nextafter(threshold, np.float32(np.inf))):
            assert (x <= threshold) == (x < below)
    assert np.isnan(found[3])
    assert np.isinf(found[4])
