"""How many rows go through a forest at once, and in which of the two ways."""

from dataclasses import dataclass

from preprocess.forest.trees import Forest

# Nanoseconds of one core on ONNX Runtime's CPU provider, fitted to forests of 500 to 10,000 trees
# with 10 to 50 leaves; only their ratios matter. The walk: a level of a tree for a row, and its
# leaf. The sweep: its operators, an inner node, whatever the rows, and an inner node for a row.
_WALK_LEVEL, _WALK_LEAF = 2.9, 3.0
_SWEEP, _SWEEP_NODE, _SWEEP_NODE_ROW = 60_000.0, 24.0, 0.25

# Above this the two ways differ too little for the sweep's larger arrays to pay.
_LATEST_SWEEP = 80

# What is written by one operator and read by the next should still be in the cache. A walk keeps 13
# bytes of a row for each tree in turn (place, question, answer, answer widened) in a core's own
# cache. A sweep streams through a handful of byte arrays as long as its widest level and needs long
# runs, so it takes a share of the cache behind that.
_NEAR_CACHE, _FAR_CACHE = 1_000_000, 4_000_000
_WALK_BYTES = 13
_FEWEST_WALKED, _FEWEST_SWEPT, _MOST = 8, 64, 256


@dataclass(frozen=True, slots=True)
class Plan:
    """At most `chunk_rows` rows at once; batches of `sweep_from` rows or more are swept.

    `sweep_from` None: all are walked. Smaller batches than `sweep_from` are walked at once.
    """

    chunk_rows: int
    sweep_from: int | None = None


def plan(forest: Forest) -> Plan:
    """What should be quickest on one core of a CPU, by the size and shape of the trees."""
    trees, depth = forest.trees, forest.depth
    inner = forest.size - int(forest.is_leaf.sum())
    walked = max(_FEWEST_WALKED, min(_MOST, _NEAR_CACHE // (_WALK_BYTES * trees)))
    gain = trees * (_WALK_LEVEL * depth + _WALK_LEAF) - inner * _SWEEP_NODE_ROW
    start = _SWEEP + inner * _SWEEP_NODE
    if not inner or gain * _LATEST_SWEEP < start:
        return Plan(walked)
    swept = max(_FEWEST_SWEPT, min(_MOST, _FAR_CACHE // max(forest.widths)))
    return Plan(swept, sweep_from=max(2, round(start / gain)))
