"""How many rows go through a forest at once, and by which of the two paths."""

from dataclasses import dataclass

from preprocess.forest.trees import Forest

# Nanoseconds of one core on ONNX Runtime's CPU provider, fitted to forests of 500 to 10,000 trees
# with 10 to 50 leaves; only their ratios matter. The walk: a level of a tree for a row, and its
# leaf. The sweep: its operators, an inner node regardless of the rows, and an inner node for a row.
_WALK_LEVEL, _WALK_LEAF = 2.9, 3.0
_SWEEP, _SWEEP_NODE, _SWEEP_NODE_ROW = 60_000.0, 24.0, 0.25

# Above this batch size the two paths differ too little for the sweep's larger arrays to pay.
_LATEST_SWEEP = 80

# What one operator writes should still be in the cache when the next one reads it. A walk keeps 13
# bytes per row and tree (index, comparison, answer, widened answer) in a core's own cache. A sweep
# streams through a handful of byte arrays as long as its widest level and needs long runs, so it
# uses a share of the next cache level.
_NEAR_CACHE, _FAR_CACHE = 1_000_000, 4_000_000
_WALK_BYTES = 13
_FEWEST_WALKED, _FEWEST_SWEPT, _MOST = 8, 64, 256


@dataclass(frozen=True, slots=True)
class Plan:
    """At most `chunk_rows` rows at once; batches of `sweep_from` rows or more are swept.

    With `sweep_from` None all are walked. Batches below `sweep_from` are walked in one piece.
    """

    chunk_rows: int
    sweep_from: int | None = None


def plan(forest: Forest) -> Plan:
    """Estimate the fastest plan for one CPU core from the size and shape of the trees."""
    trees, depth = forest.trees, forest.depth
    inner = forest.size - int(forest.is_leaf.sum())
    walked = max(_FEWEST_WALKED, min(_MOST, _NEAR_CACHE // (_WALK_BYTES * trees)))
    gain = trees * (_WALK_LEVEL * depth + _WALK_LEAF) - inner * _SWEEP_NODE_ROW
    start = _SWEEP + inner * _SWEEP_NODE
    if not inner or gain * _LATEST_SWEEP < start:
        return Plan(walked)
    swept = max(_FEWEST_SWEPT, min(_MOST, _FAR_CACHE // max(forest.widths)))
    return Plan(swept, sweep_from=max(2, round(start / gain)))
