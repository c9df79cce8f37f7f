"""The comparisons of a row, made once: a table of thresholds beside the features."""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from preprocess.forest.graph import GraphWriter
from preprocess.forest.predicates import NAN_ALONE, NAN_LEFT, NAN_RIGHT, Predicates
from preprocess.forest.trees import Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class AnswerTable:
    """Predicates as a table: a line for each feature and way of NaN, its thresholds ascending.

    `source` int32 [V] is the feature that a line compares, plus F times its way of NaN.
    `thresholds` float32 [V, K] are filled up with infinity. `column` int32 [M] says where each
    predicate's answer stands among the V * K.
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
    """Lay the predicates out; without any, one that nobody asks stands in the table."""
    if not len(predicates):
        zero, nothing = np.zeros(1, dtype=np.int32), np.full((1, 1), np.inf, dtype=np.float32)
        return AnswerTable(zero, nothing, zero, n_features)
    source = predicates.feature + predicates.way.astype(np.int32) * n_features
    lines, line, count = np.unique(source, return_inverse=True, return_counts=True)
    place = np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
    thresholds = np.full((len(lines), int(count.max())), np.inf, dtype=np.float32)
    thresholds[line, place] = predicates.threshold
    column = line * thresholds.shape[1] + place
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
    """What the table's lines compare: V features along `axis`.

    A comparison with NaN is false, which is left. Where NaN goes right it is made infinite first,
    and where NaN alone does, every number is made zero besides.
    """
    blocks: list[str] = []
    lines = np.zeros(0, dtype=np.int32)
    missing = ""
    for way in (NAN_RIGHT, NAN_LEFT, NAN_ALONE):
        chosen = table.source[table.source // table.n_features == way] % table.n_features
        if not len(chosen):
            continue
        block = writer.number(0.0, np.float32) if way == NAN_ALONE else features
        if way != NAN_LEFT:
            missing = missing or writer.add("IsNaN", [features])
            block = writer.add("Where", [missing, writer.number(np.inf, np.float32), block])
        lines = np.concatenate([lines, chosen + len(blocks) * table.n_features])
        blocks.append(block)
    values = writer.add("Concat", blocks, axis=axis) if len(blocks) > 1 else blocks[0]
    if np.array_equal(lines, np.arange(len(blocks) * table.n_features)):
        return values
    held = writer.constant("lines", lines.astype(np.int32))
    return writer.add("Gather", [values, held], axis=axis)


def _thresholds(writer: GraphWriter, table: AnswerTable) -> str:
    return writer.constant("thresholds", table.thresholds)
