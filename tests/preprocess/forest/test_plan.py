"""The plan follows the size and the shape of the trees."""

from preprocess.forest.plan import plan
from tests.preprocess.forest.forests import forest_of, random_forest


def test_sparse_trees_are_swept_in_large_batches() -> None:
    found = plan(random_forest(500, 6, stop=0.35))
    assert found.sweep_from is not None
    assert 2 <= found.sweep_from <= 64
    assert found.chunk_rows == 256


def test_full_trees_are_walked_and_more_trees_in_smaller_chunks() -> None:
    few, many = (plan(random_forest(count, 6, stop=0.0)) for count in (300, 600))
    assert few.sweep_from is many.sweep_from is None
    assert 8 <= many.chunk_rows < few.chunk_rows <= 256


def test_bare_leaves_are_walked() -> None:
    assert plan(forest_of([(0.5,)])).sweep_from is None
