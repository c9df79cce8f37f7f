"""Compares a graph with the trained model on the rows where the two would differ first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from preprocess.features.manifest import FEATURE_COUNT
from preprocess.models.session import explained, open_session, probabilities
from preprocess.training.lightgbm_model import ZERO_THRESHOLD
from preprocess.training.native import Doubles, Float32s, NativeModel

# The most rows of one kind. The split points of a depth-6 forest with 255 bins stay below it.
_MOST_ROWS = 20_000
_MIXED_ROWS = 5_000
_SEED = 20_260_814

# The hold-out part of a small market is extended to this many rows by exchanging features.
HOLDOUT_ROWS = 10_000
_EXCHANGED_SHARE = 0.2

# A graph may process small and large batches differently, so both are tried.
_BATCHES = (1, 2, 5, 11, 24, 100, 300, 512)

HOLDOUT = "hold-out"

_EDGES = np.array(
    [
        np.nan,
        np.inf,
        -np.inf,
        0.0,
        -0.0,
        ZERO_THRESHOLD,
        -ZERO_THRESHOLD,
        np.nextafter(ZERO_THRESHOLD, np.float32(1)),
        np.nextafter(-ZERO_THRESHOLD, np.float32(-1)),
        np.finfo(np.float32).tiny,
        np.finfo(np.float32).smallest_subnormal,
        np.finfo(np.float32).max,
        np.finfo(np.float32).min,
    ],
    dtype=np.float32,
)


@dataclass(frozen=True, slots=True)
class Known:
    """Rows of one kind: `x` float32 [n, 25] and the model's own probabilities [n]."""

    rows: str
    x: Float32s
    expected: Doubles


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows of one kind: the largest difference between probabilities, and labels that differ.

    `labels_differ` leaves out rows on the threshold, within the tolerance; `labels_equal`, a
    share, includes them and must be at least `least_equal`.
    """

    rows: str
    count: int
    largest_difference: float
    labels_differ: int
    tolerance: float
    labels_equal: float = 1.0
    least_equal: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the graph may replace the model on such rows."""
        return (
            self.largest_difference <= self.tolerance
            and self.labels_differ == 0
            and self.labels_equal >= self.least_equal
        )


@dataclass(frozen=True, slots=True)
class Verification:
    """A graph against its model, by kind of row."""

    comparisons: tuple[Comparison, ...]

    def table(self) -> str:
        """The comparisons as lines of text."""
        head = (
            f"{'rows':32}{'count':>8}{'largest difference':>20}{'allowed':>10}{'labels equal':>14}"
        )
        return "\n".join(
            [head]
            + [
                f"{item.rows:32}{item.count:8,}{item.largest_difference:20.2e}"
                f"{item.tolerance:10.1e}{item.labels_equal:14.3%}"
                f"{'' if item.passed else '  <-- refused'}"
                for item in self.comparisons
            ]
        )


def expected_outputs(native: NativeModel, holdout: Float32s) -> tuple[Known, ...]:
    """The model's probabilities for hold-out rows and for rows made to reveal a difference.

    The latter lie on each split point and one float32 step to either side; consist of split points,
    infinities, zeros and numbers treated as zero; or have features missing. A row without any
    feature has the probability NaN.
    """
    known = []
    for rows, x in probes(native.forest().split_points, holdout):
        expected = native.probabilities(x)
        expected[np.isnan(x).all(axis=1)] = np.nan
        known.append(Known(rows, x, expected))
    return tuple(known)


def run_graph(graph: onnx.ModelProto, known: Sequence[Known]) -> tuple[Doubles, ...]:
    """A graph's probabilities for each kind of row, computed in batches of many sizes.

    Raises:
        ModelError: the graph cannot be loaded, or fails on a row.
    """
    session = open_session(graph.SerializeToString())
    with explained("The graph cannot be run"):
        return tuple(_probabilities(session, item.x) for item in known)


def compare(
    known: Sequence[Known],
    outputs: Sequence[Doubles],
    *,
    threshold: float,
    tolerance: float,
    least_equal: float = 0.0,
) -> Verification:
    """Compare a graph's probabilities with the expected ones; NaN must be exactly where expected.

    At least the share `least_equal` of the labels of hold-out rows must be equal.
    """
    return Verification(
        tuple(
            _compared(
                item,
                output,
                threshold=threshold,
                tolerance=tolerance,
                least_equal=least_equal if item.rows.startswith(HOLDOUT) else 0.0,
            )
            for item, output in zip(known, outputs, strict=True)
        )
    )


def _compared(
    known: Known, found: Doubles, *, threshold: float, tolerance: float, least_equal: float
) -> Comparison:
    expected = known.expected
    difference = np.abs(found - expected)
    both_nan = np.isnan(found) & np.isnan(expected)
    difference = np.where(both_nan, 0.0, np.nan_to_num(difference, nan=np.inf))
    on_threshold = np.abs(expected - threshold) <= tolerance
    differs = (found >= threshold) != (expected >= threshold)
    return Comparison(
        known.rows,
        len(found),
        largest_difference=float(difference.max(initial=0.0)),
        labels_differ=int((differs & ~on_threshold).sum()),
        tolerance=tolerance,
        labels_equal=1.0 - float(differs.mean()) if len(differs) else 1.0,
        least_equal=least_equal,
    )


def _probabilities(session: onnxruntime.InferenceSession, x: Float32s) -> Doubles:
    parts: list[Float32s] = []
    start = 0
    for size in cycle(_BATCHES):
        if start >= len(x):
            break
        parts.append(probabilities(session, x[start : start + size]))
        start += size
    return np.concatenate([np.empty(0), *parts], dtype=np.float64)


def probes(points: Sequence[Float32s], holdout: Float32s) -> Iterator[tuple[str, Float32s]]:
    """The rows to compare on, by kind; `points` are split points by feature."""
    random = np.random.default_rng(_SEED)
    steps = [_with_neighbours(of_feature) for of_feature in points]
    yield HOLDOUT, holdout
    if len(holdout) < HOLDOUT_ROWS:
        yield f"{HOLDOUT}, features exchanged", _exchanged(holdout, random)
    yield "on or next to a split point", _single(steps, holdout, random)
    yield "of split points and edge values", _mixed(steps, holdout, random)
    yield "with features missing", _missing(holdout)


def _exchanged(holdout: Float32s, random: np.random.Generator) -> Float32s:
    """Held-out rows drawn again, with a fifth of their features from other held-out rows."""
    shape = (HOLDOUT_ROWS - len(holdout), FEATURE_COUNT)
    drawn = random.integers(0, len(holdout), shape)
    same_row = np.broadcast_to(drawn[:, :1], shape)
    rows = np.where(random.random(shape) < _EXCHANGED_SHARE, drawn, same_row)
    exchanged: Float32s = holdout[rows, np.arange(FEATURE_COUNT)]
    return exchanged


def _with_neighbours(points: Float32s) -> Float32s:
    with np.errstate(over="ignore"):
        below = np.nextafter(points, np.float32(-np.inf))
        above = np.nextafter(points, np.float32(np.inf))
    steps: Float32s = np.unique(np.concatenate([below, points, above]))
    return steps


def _single(steps: list[Float32s], holdout: Float32s, random: np.random.Generator) -> Float32s:
    features = np.repeat(np.arange(FEATURE_COUNT), [len(values) for values in steps])
    values = np.concatenate(steps)
    chosen = _some(len(values), random)
    x: Float32s = holdout[random.integers(0, len(holdout), len(chosen))]
    x[np.arange(len(chosen)), features[chosen]] = values[chosen]
    return x


def _some(count: int, random: np.random.Generator) -> NDArray[np.int64]:
    if count <= _MOST_ROWS:
        return np.arange(count)
    return random.choice(count, _MOST_ROWS, replace=False)


def _mixed(steps: list[Float32s], holdout: Float32s, random: np.random.Generator) -> Float32s:
    columns = []
    for feature, values in enumerate(steps):
        seen = holdout[random.integers(0, len(holdout), 64), feature]
        pool = np.concatenate([values, seen])
        column = random.choice(pool, _MIXED_ROWS)
        edges = random.random(_MIXED_ROWS) < 0.1
        column[edges] = random.choice(_EDGES, int(edges.sum()))
        columns.append(column)
    return np.stack(columns, axis=1)


def _missing(holdout: Float32s) -> Float32s:
    alone = np.full((FEATURE_COUNT + 1, FEATURE_COUNT), np.nan, dtype=np.float32)
    full = holdout[np.argsort(np.isnan(holdout).sum(axis=1), kind="stable")[: FEATURE_COUNT + 1]]
    dropped = np.resize(full, alone.shape).copy()
    for feature in range(FEATURE_COUNT):
        alone[feature, feature] = dropped[feature, feature]
        dropped[feature, feature] = np.nan
    return np.concatenate([alone, dropped])
