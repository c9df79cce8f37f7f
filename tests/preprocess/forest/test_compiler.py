"""A compiled forest computes what its trees say, whatever they are and whatever the rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from preprocess.forest.compiler import MAX_DEPTH, Compiled, compile_for_cpu, compile_for_gpu
from preprocess.forest.leaves import int8_leaves_of
from preprocess.forest.trees import Forest, ForestError
from tests.preprocess.forest.forests import (
    FEATURES,
    VALUES,
    Node,
    forest_of,
    forests,
    margins,
    model_of,
    plain_margins,
    random_forest,
    random_rows,
    session_of,
)

Rows = NDArray[np.float32]

any_rows = arrays.arrays(
    np.float32,
    st.tuples(st.integers(0, 9), st.just(FEATURES)),
    elements=st.one_of(st.sampled_from(VALUES), st.floats(width=32)),
)


def rounded_margins(forest: Forest, x: Rows) -> NDArray[np.float64]:
    """The plain walk with leaves rounded to two bytes."""
    leaves = int8_leaves_of(forest)
    order = np.argsort(forest.tree_of_node[forest.is_leaf], kind="stable")
    value = np.zeros(forest.size)
    value[np.flatnonzero(forest.is_leaf)[order]] = leaves.values
    return plain_margins(forest, x, value)


def walked(forest: Forest, rows: int = 3) -> Compiled:
    return compile_for_cpu(forest, chunk_rows=rows)


def swept(forest: Forest, rows: int = 3) -> Compiled:
    return compile_for_cpu(forest, chunk_rows=rows, sweep_from=1)


@given(forest=forests, x=any_rows)
@settings(max_examples=60, deadline=None)
def test_every_path_on_any_forest_and_any_rows(forest: Forest, x: Rows) -> None:
    gpu = margins(compile_for_gpu(forest), x)
    np.testing.assert_allclose(gpu, plain_margins(forest, x), rtol=0, atol=2e-6)
    walk = margins(walked(forest), x)
    np.testing.assert_allclose(walk, rounded_margins(forest, x), rtol=0, atol=2e-6)
    if forest.depth:
        assert np.array_equal(margins(swept(forest), x), walk)


@pytest.mark.parametrize("depth", range(1, MAX_DEPTH + 1))
def test_every_depth_that_is_allowed(depth: int) -> None:
    forest, x = random_forest(7, depth, stop=0.1), random_rows(300)
    expected = plain_margins(forest, x)
    gpu = margins(compile_for_gpu(forest), x)
    np.testing.assert_allclose(gpu, expected, rtol=0, atol=1e-6)
    walk, sweep = margins(walked(forest, 64), x), margins(swept(forest, 64), x)
    assert np.array_equal(walk, sweep)
    np.testing.assert_allclose(walk, rounded_margins(forest, x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("rows", [0, 1, 2, 6, 7, 8, 13, 14, 15, 29, 200])
def test_a_row_answers_the_same_in_every_batch(rows: int) -> None:
    forest, x = random_forest(30, 5), random_rows(rows)
    compiled = compile_for_cpu(forest, chunk_rows=14, sweep_from=7)
    session = session_of(model_of(compiled))
    (batch,) = session.run(["margin"], {"features": x})
    assert batch.shape == (rows, 1)
    alone = [session.run(["margin"], {"features": x[i : i + 1]})[0][0, 0] for i in range(rows)]
    assert batch[:, 0].tolist() == alone


def test_one_predicate_with_nan_going_both_ways() -> None:
    def tree(nan_left: bool) -> Node:
        return (1, 0.5, nan_left, (1.0,), (2.0,))

    forest = forest_of([tree(True), tree(False), tree(True)], base=0.0)
    x = np.zeros((3, FEATURES), dtype=np.float32)
    x[:, 1] = np.nan, 0.25, 0.5
    for compiled in (compile_for_gpu(forest), swept(forest)):
        assert margins(compiled, x).round(3).tolist() == [4.0, 3.0, 6.0]


def test_only_nan_goes_right_without_a_threshold() -> None:
    forest = forest_of([(0, float("nan"), False, (1.0,), (2.0,))], base=0.0)
    x = np.zeros((4, FEATURES), dtype=np.float32)
    x[:, 0] = np.inf, -np.inf, np.nan, 0.0
    for compiled in (compile_for_gpu(forest), swept(forest)):
        assert margins(compiled, x).round(3).tolist() == [1.0, 1.0, 2.0, 1.0]


def test_bare_leaves() -> None:
    forest = forest_of([(0.5,), (-0.125,)], base=1.0)
    x = random_rows(5)
    for compiled in (
        walked(forest),
        compile_for_gpu(forest),
    ):
        found = margins(compiled, x)
        np.testing.assert_allclose(found, np.full(5, 1.375), rtol=0, atol=1e-6)


def test_many_trees_add_up_without_rounding() -> None:
    forest, x = random_forest(700, 3), random_rows(40)
    found = margins(swept(forest, 40), x)
    np.testing.assert_allclose(found, rounded_margins(forest, x), rtol=0, atol=1e-6)
    assert np.array_equal(margins(walked(forest, 40), x), found)


def test_more_questions_than_two_bytes_count() -> None:
    # A table with a line for each of 251 features, as long as the longest: 75,300 answers.
    stumps = [(0, i / 128, False, (0.0,), (1.0,)) for i in range(300)]
    stumps += [(feature, 0.5, True, (0.0,), (1.0,)) for feature in range(1, 251)]
    forest = forest_of(stumps, n_features=251)
    x = random_rows(20, n_features=251)
    for sweep_from in (None, 1):
        compiled = compile_for_cpu(forest, chunk_rows=20, sweep_from=sweep_from)
        (found,) = session_of(model_of(compiled, 251)).run(["margin"], {"features": x})
        np.testing.assert_allclose(found[:, 0], plain_margins(forest, x), rtol=1e-4)


def test_forests_that_cannot_be_compiled_are_refused() -> None:
    node: Node = (0.0,)
    for _ in range(MAX_DEPTH + 1):
        node = (0, 0.5, False, node, (1.0,))
    for form in (walked, compile_for_gpu):
        with pytest.raises(ForestError, match="9 levels of comparisons"):
            form(forest_of([node]))
    with pytest.raises(ForestError, match="bare leaves"):
        swept(forest_of([(0.0,)]))
