"""The parts of a request add up, whatever was measured."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.profiling.split import Split

ms = st.floats(0.001, 100.0)


@given(st.builds(Split, *[ms] * 9))
def test_parts_and_remainder_are_the_whole(split: Split) -> None:
    whole = sum(part.ms for part in split.parts) + split.remainder
    assert whole == pytest.approx(split.end_to_end)
    steps = split.queues + split.features + split.classifier
    assert split.remainder == pytest.approx(split.ensemble - steps, abs=1e-9)
    top = split.top()
    assert [part.ms for part in top] == sorted((part.ms for part in split.parts), reverse=True)[:3]


def test_each_part_is_one_measurement_minus_the_nested_one() -> None:
    split = Split(10.0, 8.0, 7.0, 5.0, 0.5, 3.0, 1.0, 2.5, 0.75)
    assert {part.name: part.ms for part in split.parts} == {
        "client and HTTP": 2.0,
        "gateway": 1.0,
        "HTTP to Triton and back": 2.0,
        "queues in Triton": 0.5,
        "feature lookup": 2.5,
        "backend around the features": 0.5,
        "inference": 0.75,
        "backend around the inference": 0.25,
    }
    assert split.remainder == 0.5
    document = json.loads(json.dumps(split.document()))
    assert document["top"] == ["feature lookup", "client and HTTP", "HTTP to Triton and back"]
    assert sum(part["share"] for part in document["parts"]) == pytest.approx(0.95)
    assert "Top three: feature lookup (25%)" in split.lines()[-1]
