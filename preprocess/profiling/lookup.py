"""The features model's own code, run in this process on the rows of a load."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from preprocess.errors import FeatureError
from preprocess.features.row import Status
from preprocess.features.service import FeatureService
from preprocess.features.wire import Float32s
from preprocess.profiling.frames import Frame, read_frame
from preprocess.profiling.requests import Pair
from preprocess.profiling.sampled import sampled


@dataclass(frozen=True, slots=True)
class Lookups:
    """The mean ms of one request, its features float32 [rows, 25] each, and where the time went."""

    ms: float
    features: Sequence[Float32s]
    frame: Frame


def time_lookups(service: FeatureService, requests: Sequence[Sequence[Pair]]) -> Lookups:
    """Look up the rows of each request, as Triton's features model does; timed, then sampled.

    Raises:
        FeatureError: a row has no features.
    """
    columns = [
        ([code.encode() for code, _ in pairs], [day.encode() for _, day in pairs])
        for pairs in requests
    ]
    for codes, days in columns[: len(columns) // 10 + 1]:
        service.rows(codes, days)
    features = []
    seconds = 0.0
    for codes, days in columns:
        began = time.perf_counter()
        rows = service.rows(codes, days)
        seconds += time.perf_counter() - began
        if not all(status == Status.OK.encode() for status in rows.status):
            raise FeatureError(f"A row of {codes[0]!r} and others has no features: {rows.status}")
        features.append(np.ascontiguousarray(rows.values))

    def again() -> None:
        for codes, days in columns:
            service.rows(codes, days)

    document = json.loads(sampled(again))
    frame = read_frame(document["root_frame"], len(columns))
    return Lookups(seconds / len(columns) * 1e3, features, frame)
