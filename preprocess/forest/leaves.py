"""Leaves of two bytes each: integer multiples of one step, which all trees share."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.forest.trees import Floats, Forest, Ints

# Two bytes hold distances of up to 2**15 - 1; rounding both ends can add one.
_STEPS = 2**15 - 2


@dataclass(frozen=True, slots=True, eq=False)
class Int8Leaves:
    """Leaf i of tree t stands for (256 * high[i] + low[i] + zero[t]) * `step`.

    `high` int8 [n], `low` uint8 [n]; `tree` int32 [n] is the tree of each leaf. `zero` int64 [T] is
    the same for all leaves of a tree, so it is added up once for all rows. Any two
    leaves of a tree are less than 2**15 steps apart, so the differences fit into two bytes too.
    """

    high: NDArray[np.int8]
    low: NDArray[np.uint8]
    tree: Ints
    zero: NDArray[np.int64]
    step: np.float32

    @property
    def codes(self) -> Ints:
        """256 * high + low, int32 [n]."""
        return self.high.astype(np.int32) * 256 + self.low

    @property
    def values(self) -> NDArray[np.float64]:
        """The values that the leaves stand for, float64 [n]."""
        return (self.codes + self.zero[self.tree]) * np.float64(self.step)

    @property
    def error(self) -> float:
        """The most that rounding changes the margin of a row.

        At worst half a step in each of the T trees. As the rounding errors of many trees are
        independent, their sum stays within six standard deviations of a sum of T numbers spread
        evenly over one step: six times step * sqrt(T / 12).
        """
        trees, step = len(self.zero), float(self.step)
        return step * min(trees / 2.0, 6.0 * math.sqrt(trees / 12.0))


def int8_leaves(values: Floats, tree: Ints) -> Int8Leaves:
    """Round leaves float32 [n], those of tree 0 first, to the finest step that two bytes allow.

    The zero of a tree is 0 where its leaves lie on both sides of 0: sums of codes stay small.
    """
    wide = values.astype(np.float64)
    first = np.flatnonzero(np.diff(tree, prepend=-1))
    least, greatest = np.minimum.reduceat(wide, first), np.maximum.reduceat(wide, first)
    widest = float((greatest - least).max())
    # A float32 step may round down; the next one up keeps the distances within the bytes.
    step = np.nextafter(np.float32(widest / _STEPS), np.float32(np.inf))
    if not widest:
        step = np.float32(max(1.0, np.abs(least).max()) / 2**23)  # all trees are one number each
    zero = np.rint(np.clip(0.0, least, greatest) / np.float64(step)).astype(np.int64)
    codes = np.rint(wide / np.float64(step)).astype(np.int64) - zero[tree]
    high = codes >> 8
    low = codes - 256 * high
    return Int8Leaves(high.astype(np.int8), low.astype(np.uint8), tree, zero, step)


def int8_leaves_of(forest: Forest) -> Int8Leaves:
    """The rounded leaves of a whole forest; within a tree, in the order of its nodes."""
    leaf = np.flatnonzero(forest.is_leaf)
    tree = forest.tree_of_node[leaf]
    order = np.argsort(tree, kind="stable")
    return int8_leaves(forest.value[leaf][order], tree[order])
