"""The parts of a request add up, whatever the clocks say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.profiling.split import Clocks, Split

ms = st.floats(0.001, 100.0)


@given(st.builds(Clocks, *[ms] * 9))
def test_parts_and_remainder_are_the_whole(clocks: Clocks) -> None:
    split = Split.of(clocks)
    whole = sum(part.ms for part in split.parts) + split.remainder
    assert whole == pytest.approx(clocks.end_to_end)
    steps = clocks.queues + clocks.features + clocks.classifier
    assert split.remainder == pytest.approx(clocks.ensemble - steps, abs=1e-9)
    top = split.top()
    assert [part.ms for part in top] == sorted((part.ms for part in split.parts), reverse=True)[:3]


def test_each_part_is_one_clock_without_the_one_inside() -> None:
    split = Split.of(Clocks(10.0, 8.0, 7.0, 5.0, 0.5, 3.0, 1.0, 2.5, 0.75))
    assert {part.name: part.ms for part in split.parts} == {
        "client and HTTP": 2.0,
        "gateway": 1.0,
        "HTTP to Triton and back": 2.0,
        "queues in Triton": 0.5,
        "feature lookup": 2.5,
        "backend round the features": 0.5,
        "inference": 0.75,
        "backend round the inference": 0.25,
    }
    assert split.remainder == 0.5
    document = json.loads(json.dumps(split.document()))
    assert document["top"] == ["feature lookup", "client and HTTP", "HTTP to Triton and back"]
    assert sum(part["share"] for part in document["parts"]) == pytest.approx(0.95)
    assert "Top three: feature lookup (25%)" in split.lines()[-1]
