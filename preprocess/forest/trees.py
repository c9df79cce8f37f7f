"""A forest of binary decision trees, as flat arrays: what the compiler takes in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.forest.errors import ForestError

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

LEAF = -1


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """T trees with n nodes in all; a row's margin is `base` plus one leaf of every tree.

    A row is float32 [n_features]. At an inner node it goes left where x[feature] < threshold,
    compared in float32, and otherwise right; where x[feature] is NaN it goes left if `nan_left`
    says so. A threshold of NaN is none: every number goes left, +inf too (see `below_or_at`). A
    leaf has `left` and `right` equal to LEAF, and its `value` counts.

    `roots` int32 [T]; `feature`, `left`, `right` int32 [n] (children are places in these arrays),
    `threshold`, `value` float32 [n], `nan_left` bool [n].

    Raises:
        ForestError: the arrays do not describe trees; the message names the first bad node.
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

    def __post_init__(self) -> None:
        self._require_arrays()
        leaf = self.is_leaf
        inner = ~leaf
        _refuse(leaf != (self.right == LEAF), "has one child only")
        for children in (self.left, self.right):
            _refuse(inner & ((children < 0) | (children >= self.size)), "has a child outside")
        _refuse(inner & ((self.feature < 0) | (self.feature >= self.n_features)), "has no feature")
        _refuse(leaf & ~np.isfinite(self.value), "is a leaf without a number")
        if not np.isfinite(self.base):
            raise ForestError(f"The base margin of a forest is a number, and not {self.base}.")
        self._require_trees(inner)

    def _require_arrays(self) -> None:
        kinds = {
            "roots": np.int32,
            "feature": np.int32,
            "threshold": np.float32,
            "left": np.int32,
            "right": np.int32,
            "nan_left": np.bool_,
            "value": np.float32,
        }
        for name, kind in kinds.items():
            array = getattr(self, name)
            if array.ndim != 1 or array.dtype != kind:
                raise ForestError(
                    f"{name} must be a vector of {kind.__name__}, and is {array.dtype} "
                    f"{list(array.shape)}."
                )
            if name != "roots" and len(array) != self.size:
                raise ForestError(f"{name} has {len(array)} entries for {self.size} nodes.")
        if not len(self.roots):
            raise ForestError("A forest has at least one tree.")

    def _require_trees(self, inner: Bools) -> None:
        if self.roots.min() < 0 or self.roots.max() >= self.size:
            raise ForestError(f"A root lies outside the {self.size} nodes.")
        parents = np.bincount(
            np.concatenate([self.roots, self.left[inner], self.right[inner]]), minlength=self.size
        )
        _refuse(parents != 1, "is not the child of exactly one node, or the root of one tree")
        # Each has one parent, so what no walk from a root comes to lies on a circle.
        reached = np.zeros(self.size, dtype=np.bool_)
        level = self.roots
        while len(level):
            reached[level] = True
            level = level[inner[level]]
            level = np.concatenate([self.left[level], self.right[level]])
        _refuse(~reached, "belongs to no tree")

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
    def depth(self) -> int:
        """Comparisons on the longest way from a root to a leaf."""
        return len(self.widths)


def below_or_at(threshold: Floats) -> Floats:
    """The thresholds of a Forest, x < t', for those of trees that ask x <= t.

    That is the next float32 above t. Above +inf there is none: x <= inf holds for every number.
    """
    # What follows zero is a subnormal: x <= 0 asks for zero and less, and for nothing above.
    with np.errstate(over="ignore"):
        above: Floats = np.nextafter(threshold, np.float32(np.inf))
    return np.where(np.isposinf(threshold), np.float32(np.nan), above)


def _refuse(bad: Bools, what: str) -> None:
    if bad.any():
        raise ForestError(f"Node {int(bad.argmax())} {what}.")
