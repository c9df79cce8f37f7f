"""Leaves of two bytes: never further from the leaf than half a step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocess.forest.leaves import int8_leaves, int8_leaves_of
from tests.preprocess.forest.forests import forest_of, plain_margins, random_forest, random_rows

leaf = st.one_of(st.floats(-128, 128, width=32), st.floats(-(2.0**-10), 2.0**-10, width=32))


@given(trees=st.lists(st.lists(leaf, min_size=1, max_size=9), min_size=1, max_size=5))
def test_half_a_step_at_most(trees: list[list[float]]) -> None:
    values = np.array([value for tree in trees for value in tree], dtype=np.float32)
    tree = np.repeat(np.arange(len(trees), dtype=np.int32), [len(tree) for tree in trees])
    leaves = int8_leaves(values, tree)
    assert leaves.high.dtype == np.int8
    assert leaves.low.dtype == np.uint8
    assert np.abs(leaves.values - values).max() <= 0.5001 * float(leaves.step)
    codes = leaves.codes
    for number in range(len(trees)):
        own = codes[tree == number]
        assert own.max() - own.min() < 2**15


def test_what_a_tree_starts_from_costs_no_precision() -> None:
    # LightGBM puts the log odds of the whole market into its first tree.
    near = int8_leaves(
        np.array([-0.01, 0.01, 0.0, 0.02], dtype=np.float32), np.array([0, 0, 1, 1], dtype=np.int32)
    )
    far = int8_leaves(
        np.array([-3.01, -2.99, 0.0, 0.02], dtype=np.float32),
        np.array([0, 0, 1, 1], dtype=np.int32),
    )
    assert far.step == pytest.approx(near.step, rel=1e-4)
    assert far.zero[0] * far.step == pytest.approx(-2.99, abs=1e-5)


def test_trees_of_one_number_each() -> None:
    leaves = int8_leaves(np.array([0.75, 0.0], dtype=np.float32), np.array([0, 1], dtype=np.int32))
    assert leaves.values == pytest.approx([0.75, 0.0], abs=1e-6)


def test_the_error_bounds_what_rows_lose() -> None:
    for trees in (1, 3, 60):
        forest, x = random_forest(trees, 5), random_rows(150)
        leaves = int8_leaves_of(forest)
        value = np.zeros(forest.size)
        order = np.argsort(forest.tree_of_node[forest.is_leaf], kind="stable")
        value[np.flatnonzero(forest.is_leaf)[order]] = leaves.values
        lost = np.abs(plain_margins(forest, x, value) - plain_margins(forest, x)).max()
        assert 0 < lost <= leaves.error
        assert lost > leaves.error / 30  # a bound that says something


def test_one_leaf() -> None:
    assert int8_leaves_of(forest_of([(0.5,)])).values == pytest.approx([0.5])
