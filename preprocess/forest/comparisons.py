"""The distinct comparisons of a forest, each made once per row however many nodes share it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from preprocess.forest.graph import GraphWriter
from preprocess.forest.trees import Floats, Forest, Ints

# What sends a row right: a number at or above the threshold, with or without NaN; or only NaN.
NAN_RIGHT, NAN_LEFT, ONLY_NAN = 0, 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class Predicates:
    """M comparisons, sorted by NaN handling, feature and threshold.

    `nan_rule` int8 [M], `feature` int32 [M] and `threshold` float32 [M] say when a row goes right.
    `of_node` int32 [n] is the index of each inner node's comparison; it is 0 at leaves.
    """

    nan_rule: NDArray[np.int8]
    feature: Ints
    threshold: Floats
    of_node: Ints


def predicates(forest: Forest) -> Predicates:
    """The distinct comparisons. Nodes that differ only in how they treat NaN count as two.

    The two zeros are one threshold: x < 0.0 and x < -0.0 are the same for every x.
    """
    inner = np.flatnonzero(~forest.is_leaf)
    threshold = forest.threshold[inner] + np.float32(0.0)
    rule = np.where(forest.nan_left[inner], NAN_LEFT, NAN_RIGHT)
    only_nan = np.isnan(threshold) & (rule == NAN_RIGHT)
    rule[only_nan], threshold[only_nan] = ONLY_NAN, 1.0
    feature = forest.feature[inner]
    order = np.lexsort((threshold, feature, rule))
    rule, feature, threshold = rule[order], feature[order], threshold[order]
    bits = threshold.view(np.int32)  # a NaN threshold, where nothing goes right, equals itself
    is_first = np.ones(len(inner), dtype=np.bool_)
    is_first[1:] = (rule[1:] != rule[:-1]) | (feature[1:] != feature[:-1]) | (bits[1:] != bits[:-1])
    of_node = np.zeros(forest.size, dtype=np.int32)
    of_node[inner[order]] = np.cumsum(is_first) - 1
    return Predicates(
        rule[is_first].astype(np.int8), feature[is_first], threshold[is_first], of_node
    )


@dataclass(frozen=True, slots=True, eq=False)
class AnswerTable:
    """Predicates as a table: a line per feature and NaN rule, its thresholds ascending.

    `source` int32 [V] is the feature that a line compares, plus F times its NaN rule.
    `thresholds` float32 [V, K] are padded with infinity. `column` int32 [M] is the index of each
    predicate's answer among the V * K.
    """

    source: Ints
    thresholds: Floats
    column: Ints
    n_features: int

    @property
    def size(self) -> int:
        """Answers of one row."""
        return self.thresholds.size


def answer_table(predicates: Predicates, n_features: int) -> AnswerTable:
    """Arrange the predicates in a table; a forest of bare leaves gets one that no node uses."""
    if not len(predicates.feature):
        zero, nothing = np.zeros(1, dtype=np.int32), np.full((1, 1), np.inf, dtype=np.float32)
        return AnswerTable(zero, nothing, zero, n_features)
    source = predicates.feature + predicates.nan_rule.astype(np.int32) * n_features
    lines, line, count = np.unique(source, return_inverse=True, return_counts=True)
    within = np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
    thresholds = np.full((len(lines), int(count.max())), np.inf, dtype=np.float32)
    thresholds[line, within] = predicates.threshold
    column = line * thresholds.shape[1] + within
    return AnswerTable(lines, thresholds, column.astype(np.int32), n_features)


def answers_by_row(writer: GraphWriter, features: str, table: AnswerTable) -> str:
    """The answers uint8 [N, V * K] for features [N, F]: 1 where the row goes right."""
    values = writer.add(
        "Unsqueeze", [_compared(writer, features, table, axis=1), writer.integers(2)]
    )
    right = writer.add("GreaterOrEqual", [values, _thresholds(writer, table)])
    right = writer.add("Cast", [right], to=TensorProto.UINT8)
    return writer.add("Reshape", [right, writer.integers(-1, table.size)])


def answers_by_column(writer: GraphWriter, features: str, table: AnswerTable) -> str:
    """The same with the rows last: bool [V * K, N]."""
    columns = writer.add("Transpose", [features], perm=[1, 0])
    values = writer.add(
        "Unsqueeze", [_compared(writer, columns, table, axis=0), writer.integers(1)]
    )
    thresholds = writer.add("Unsqueeze", [_thresholds(writer, table), writer.integers(2)])
    right = writer.add("GreaterOrEqual", [values, thresholds])
    return writer.add("Reshape", [right, writer.integers(table.size, -1)])


def _compared(writer: GraphWriter, features: str, table: AnswerTable, *, axis: int) -> str:
    """The values that the table's lines compare: V features along `axis`.

    A comparison with NaN is false, so NaN goes left. Where NaN goes right it is replaced by
    infinity first, and where only NaN goes right every number is also replaced by zero.
    """
    blocks: list[str] = []
    lines = np.zeros(0, dtype=np.int32)
    missing = ""
    for rule in (NAN_RIGHT, NAN_LEFT, ONLY_NAN):
        chosen = table.source[table.source // table.n_features == rule] % table.n_features
        if not len(chosen):
            continue
        block = writer.number(0.0, np.float32) if rule == ONLY_NAN else features
        if rule != NAN_LEFT:
            missing = missing or writer.add("IsNaN", [features])
            block = writer.add("Where", [missing, writer.number(np.inf, np.float32), block])
        lines = np.concatenate([lines, chosen + len(blocks) * table.n_features])
        blocks.append(block)
    values = writer.add("Concat", blocks, axis=axis) if len(blocks) > 1 else blocks[0]
    if np.array_equal(lines, np.arange(len(blocks) * table.n_features)):
        return values
    indices = writer.constant("lines", lines.astype(np.int32))
    return writer.add("Gather", [values, indices], axis=axis)


def _thresholds(writer: GraphWriter, table: AnswerTable) -> str:
    return writer.constant("thresholds", table.thresholds)
