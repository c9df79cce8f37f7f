"""What a forest may be: anything else is refused, by the node that is wrong."""

from typing import Any

import numpy as np
import pytest

from preprocess.forest.errors import ForestError
from preprocess.forest.trees import Forest, below_or_at
from tests.forest.forests import forest_of, random_forest

STUMPS = [(0, 0.5, False, (1.0,), (2.0,)), (1, 1.5, True, (3.0,), (4.0,))]


def changed(**arrays: Any) -> Forest:
    """Two stumps with some arrays replaced, or single entries: name=(place, value)."""
    good = forest_of(STUMPS)
    fields = {name: getattr(good, name) for name in Forest.__slots__}
    for name, value in arrays.items():
        if isinstance(value, tuple):
            fields[name] = fields[name].copy()
            fields[name][value[0]] = value[1]
        else:
            fields[name] = value
    return Forest(**fields)


def test_what_it_says_of_itself() -> None:
    forest = forest_of([(0, 0.5, False, (1.0,), STUMPS[1]), (2.0,)])
    assert (forest.trees, forest.size, forest.depth) == (2, 6, 2)
    assert forest.widths == [1, 1]
    assert forest.tree_of_node.tolist() == [0, 0, 0, 0, 0, 1]
    assert forest.is_leaf.tolist() == [False, True, False, True, True, True]


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"left": (0, -1)}, "Node 0 has one child only"),
        ({"left": (0, 17)}, "Node 0 has a child outside"),
        ({"feature": (3, 4)}, "Node 3 has no feature"),
        ({"feature": (3, -1)}, "Node 3 has no feature"),
        ({"value": (4, np.nan)}, "Node 4 is a leaf without a number"),
        ({"value": (4, np.inf)}, "Node 4 is a leaf without a number"),
        ({"base": np.float32(np.nan)}, "The base margin"),
        ({"left": (0, 2)}, "Node 1 is not the child of exactly one"),
        ({"left": (3, 3)}, "Node 3 is not the child of exactly one"),
        ({"roots": np.array([0], dtype=np.int32)}, "Node 3 is not the child of exactly one"),
        ({"roots": np.array([0, 9], dtype=np.int32)}, "A root lies outside"),
        ({"roots": np.array([], dtype=np.int32)}, "at least one tree"),
        ({"roots": np.array([0, 3])}, "roots must be a vector of int32"),
        ({"threshold": np.zeros((6, 1), dtype=np.float32)}, "threshold must be a vector"),
        ({"nan_left": np.zeros(5, dtype=np.bool_)}, "nan_left has 5 entries for 6 nodes"),
    ],
)
def test_what_is_no_forest_is_refused(arrays: dict[str, Any], says: str) -> None:
    with pytest.raises(ForestError, match=says):
        changed(**arrays)


def test_a_circle_belongs_to_no_tree() -> None:
    # 0 is a tree; 1 and 2 are each other's only parents, with leaves 3 and 4.
    with pytest.raises(ForestError, match="Node 1 belongs to no tree"):
        Forest(
            n_features=1,
            base=np.float32(0),
            roots=np.array([0], dtype=np.int32),
            feature=np.zeros(5, dtype=np.int32),
            threshold=np.zeros(5, dtype=np.float32),
            left=np.array([-1, 2, 1, -1, -1], dtype=np.int32),
            right=np.array([-1, 3, 4, -1, -1], dtype=np.int32),
            nan_left=np.zeros(5, dtype=np.bool_),
            value=np.zeros(5, dtype=np.float32),
        )


def test_at_most_is_below_the_next_number() -> None:
    thresholds = np.array([1.0, 0.0, -0.0, np.inf, np.finfo(np.float32).max], dtype=np.float32)
    found = below_or_at(thresholds)
    for threshold, below in zip(thresholds[:3], found[:3], strict=True):
        for x in (threshold, np.nextafter(threshold, np.float32(np.inf))):
            assert (x <= threshold) == (x < below)
    assert np.isnan(found[3])
    assert np.isinf(found[4])


def test_widths_are_those_of_the_levels() -> None:
    forest = random_forest(50, 5)
    assert forest.widths[0] <= 50
    assert sum(forest.widths) == int((~forest.is_leaf).sum())
    assert forest.depth == len(forest.widths)
