"""A forest of binary decision trees as flat arrays: the compiler's input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

LEAF = -1


class ForestError(ValueError):
    """A forest that the compiler cannot express."""


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """T trees with n nodes in all; a row's margin is `base` plus one leaf of every tree.

    A row is float32 [n_features]. At an inner node it goes left where x[feature] < threshold,
    compared in float32, and otherwise right; where x[feature] is NaN it goes left if `nan_left` is
    set. With a threshold of NaN every number goes left, +inf too (see `below_or_at`). A leaf has
    `left` and `right` equal to LEAF, and only a leaf's `value` is used.

    `roots` int32 [T]; `feature`, `left`, `right` int32 [n] (children are indices into these
    arrays), `threshold`, `value` float32 [n], `nan_left` bool [n]. Nothing is checked here: forests
    are read from the models of two libraries, and the gate compares the graphs made of them.
    """

    n_features: int
    base: np.float32
    roots: Ints
    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    nan_left: Bools
    value: Floats

    @property
    def size(self) -> int:
        """Nodes in all, leaves included."""
        return len(self.feature)

    @property
    def trees(self) -> int:
        """How many trees there are."""
        return len(self.roots)

    @property
    def is_leaf(self) -> Bools:
        """Which nodes are leaves, bool [n]."""
        leaf: Bools = self.left == LEAF
        return leaf

    @property
    def tree_of_node(self) -> Ints:
        """Which tree each node belongs to, int32 [n]."""
        found = np.zeros(self.size, dtype=np.int32)
        leaf = self.is_leaf
        nodes, trees = self.roots, np.arange(self.trees, dtype=np.int32)
        while len(nodes):
            found[nodes] = trees
            nodes, trees = nodes[~leaf[nodes]], trees[~leaf[nodes]]
            nodes = np.concatenate([self.left[nodes], self.right[nodes]])
            trees = np.concatenate([trees, trees])
        return found

    @property
    def widths(self) -> list[int]:
        """How many inner nodes there are on each level, from the roots down."""
        leaf = self.is_leaf
        level, widths = self.roots[~leaf[self.roots]], []
        while len(level):
            widths.append(len(level))
            children = np.concatenate([self.left[level], self.right[level]])
            level = children[~leaf[children]]
        return widths

    @property
    def split_points(self) -> list[Floats]:
        """The distinct thresholds of each feature, ascending; those of NaN are left out."""
        inner = ~self.is_leaf & ~np.isnan(self.threshold)
        return [
            np.unique(self.threshold[inner & (self.feature == feature)])
            for feature in range(self.n_features)
        ]

    @property
    def depth(self) -> int:
        """Comparisons on the longest path from a root to a leaf."""
        return len(self.widths)


def forest_of(
    trees: Sequence[Mapping[str, ArrayLike]], *, n_features: int, base: np.float32
) -> Forest:
    """One forest of trees, each with the arrays of a Forest from `feature` to `value`.

    A tree's first node is its root, and its children are indices into its own arrays.
    """
    sizes = [len(np.asarray(tree["left"])) for tree in trees]
    begins = np.cumsum([0, *sizes])[:-1].astype(np.int32)
    shift = np.repeat(begins, sizes)

    def joined(name: str, kind: type) -> NDArray[Any]:
        return np.concatenate([np.asarray(tree[name], dtype=kind) for tree in trees])

    left, right = joined("left", np.int32), joined("right", np.int32)
    leaf = left == LEAF
    return Forest(
        n_features=n_features,
        base=base,
        roots=begins,
        feature=joined("feature", np.int32),
        threshold=joined("threshold", np.float32),
        left=np.where(leaf, LEAF, left + shift),
        right=np.where(leaf, LEAF, right + shift),
        nan_left=joined("nan_left", np.bool_),
        value=joined("value", np.float32),
    )


def below_or_at(threshold: Floats) -> Floats:
    """The thresholds of a Forest, x < t', for trees that compare x <= t.

    That is the next float32 above t. Above +inf there is none (NaN): every number is <= +inf.
    """
    # After zero comes a subnormal: x <= 0 is true for zero and below, and for nothing above.
    with np.errstate(over="ignore"):
        above: Floats = np.nextafter(threshold, np.float32(np.inf))
    return np.where(np.isposinf(threshold), np.float32(np.nan), above)
