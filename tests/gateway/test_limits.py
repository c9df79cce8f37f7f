"""Bounded concurrency: who gets a place, who waits, who is turned away, who travels together."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.errors import (
    DeadlineExceededError,
    PredictorOverloadedError,
    PredictorUnavailableError,
)
from gateway.ports import InferenceResult, PredictionQuery
from gateway.triton.limits import MOST_ROWS, BatchingPredictor
from preprocess.models.names import Variant
from tests.gateway.fakes import TODAY, answer

State = tuple[int, int]


class Gate:
    """A predictor whose calls end when they are let go."""

    def __init__(self) -> None:
        self.calls: list[list[PredictionQuery]] = []
        self.timeouts: list[float] = []
        self.ends: list[asyncio.Future[None]] = []
        self.closed = False

    async def predict(
        self, queries: Sequence[PredictionQuery], timeout_s: float
    ) -> list[InferenceResult]:
        self.calls.append(list(queries))
        self.timeouts.append(timeout_s)
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ends.append(end)
        await end
        return [answer(query.bse_code, query.prediction_date) for query in queries]

    async def close(self) -> None:
        self.closed = True


def query(number: int, variant: Variant = "fp32", version: int = 1) -> PredictionQuery:
    return PredictionQuery(f"{number:06d}", TODAY, variant, version)


def codes(calls: list[list[PredictionQuery]]) -> list[list[int]]:
    return [[int(each.bse_code) for each in call] for call in calls]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def state(limited: BatchingPredictor) -> State:
    return limited.in_flight, limited.waiting


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def limited(gate: Gate) -> BatchingPredictor:
    return BatchingPredictor(gate, in_flight=2, waiting=3)


def start(
    limited: BatchingPredictor, *queries: PredictionQuery
) -> "asyncio.Task[list[InferenceResult]]":
    return asyncio.create_task(limited.predict(queries, 5.0))


async def test_places_then_seats_then_the_door(gate: Gate, limited: BatchingPredictor) -> None:
    tasks = [start(limited, query(number)) for number in range(5)]
    await settle()
    assert codes(gate.calls) == [[0], [1]]
    assert state(limited) == (2, 3)
    with pytest.raises(PredictorOverloadedError):
        await limited.predict([query(9)], 5.0)
    gate.ends[0].set_result(None)
    await settle()
    assert codes(gate.calls) == [[0], [1], [2, 3, 4]]  # those who waited travel together
    assert state(limited) == (2, 0)
    for end in gate.ends[1:]:
        end.set_result(None)
    found = await asyncio.gather(*tasks)
    assert [[a.probability for a in answers] for answers in found] == [
        [answer(f"{number:06d}", TODAY).probability] for number in range(5)
    ]
    assert state(limited) == (0, 0)


@pytest.mark.parametrize(
    "other", [("int8", 1), ("fp32", 2)], ids=["another variant", "another version"]
)
async def test_a_model_holds_up_nobody_who_asks_another(
    gate: Gate, other: tuple[Variant, int]
) -> None:
    limited = BatchingPredictor(gate, in_flight=1, waiting=5)
    hangs = start(limited, query(0))
    await settle()
    tasks = [
        *(start(limited, query(number)) for number in (1, 2)),
        *(start(limited, query(number, *other)) for number in (3, 4, 5)),
    ]
    await settle()
    assert codes(gate.calls) == [[0], [3]]
    assert state(limited) == (2, 4)
    gate.ends[1].set_result(None)
    await settle()
    assert codes(gate.calls[2:]) == [[4, 5]]  # only one model travels together
    gate.ends[2].set_result(None)
    assert [len(answers) for answers in await asyncio.gather(*tasks[2:])] == [1, 1, 1]
    assert state(limited) == (1, 2)
    gate.ends[0].set_result(None)
    await settle()
    assert codes(gate.calls[3:]) == [[1, 2]]
    gate.ends[3].set_result(None)
    await asyncio.gather(hangs, *tasks)
    assert state(limited) == (0, 0)


async def test_a_full_queue_turns_away_only_its_own_callers(gate: Gate) -> None:
    limited = BatchingPredictor(gate, in_flight=1, waiting=1)
    tasks = [start(limited, query(0)), start(limited, query(1))]
    await settle()
    with pytest.raises(PredictorOverloadedError):
        await limited.predict([query(2)], 5.0)
    tasks += [start(limited, query(3, version=2)), start(limited, query(4, version=2))]
    await settle()
    assert state(limited) == (2, 2)
    assert limited.is_queued(tasks[1])
    assert not limited.is_queued(tasks[0])
    for index in range(4):
        gate.ends[index].set_result(None)
        await settle()
    await asyncio.gather(*tasks)
    assert state(limited) == (0, 0)


async def test_rows_of_a_joined_request_are_bounded(gate: Gate) -> None:
    limited = BatchingPredictor(gate, in_flight=1, waiting=10)
    big = [query(number) for number in range(MOST_ROWS - 1)]
    tasks = [start(limited, query(0))]
    await settle()
    tasks += [start(limited, *big), start(limited, query(1), query(2)), start(limited, query(3))]
    await settle()
    gate.ends[0].set_result(None)
    await settle()
    assert [len(call) for call in gate.calls] == [1, MOST_ROWS]
    assert gate.calls[1] == [*big, query(3)]
    gate.ends[1].set_result(None)
    await settle()
    assert codes(gate.calls[2:]) == [[1, 2]]
    gate.ends[2].set_result(None)
    found = await asyncio.gather(*tasks)
    assert [len(answers) for answers in found] == [1, MOST_ROWS - 1, 2, 1]


async def test_more_rows_than_that_travel_alone(gate: Gate) -> None:
    limited = BatchingPredictor(gate, in_flight=1, waiting=10)
    first = start(limited, query(0))
    await settle()
    big = start(limited, *(query(number) for number in range(MOST_ROWS + 1)))
    other = start(limited, query(1))
    await settle()
    gate.ends[0].set_result(None)
    await settle()
    assert [len(call) for call in gate.calls] == [1, MOST_ROWS + 1]
    gate.ends[1].set_result(None)
    await settle()
    gate.ends[2].set_result(None)
    await asyncio.gather(first, big, other)


async def test_who_leaves_while_waiting_frees_the_seat(
    gate: Gate, limited: BatchingPredictor
) -> None:
    tasks = [start(limited, query(number)) for number in range(5)]
    await settle()
    tasks[3].cancel()
    await settle()
    assert state(limited) == (2, 2)
    late = start(limited, query(5))
    await settle()
    assert state(limited) == (2, 3)
    gate.ends[0].set_result(None)
    await settle()
    assert codes(gate.calls[2:]) == [[2, 4, 5]]
    for end in gate.ends[1:]:
        end.set_result(None)
    await asyncio.gather(*(task for task in tasks if task is not tasks[3]), late)
    assert state(limited) == (0, 0)


async def test_who_leaves_while_under_way_frees_the_place(
    gate: Gate, limited: BatchingPredictor
) -> None:
    tasks = [start(limited, query(number)) for number in range(3)]
    await settle()
    tasks[0].cancel()
    await settle()
    assert codes(gate.calls) == [[0], [1], [2]]
    assert state(limited) == (2, 0)
    tasks[1].cancel()
    tasks[2].cancel()
    await settle()
    assert state(limited) == (0, 0)


async def test_a_joined_request_ends_when_all_of_its_callers_have_gone(
    gate: Gate, limited: BatchingPredictor
) -> None:
    tasks = [start(limited, query(number)) for number in range(4)]
    await settle()
    gate.ends[0].set_result(None)
    await settle()
    assert codes(gate.calls[2:]) == [[2, 3]]
    tasks[2].cancel()
    await settle()
    assert not gate.ends[2].cancelled()
    tasks[3].cancel()
    await settle()
    assert gate.ends[2].cancelled()
    gate.ends[1].set_result(None)
    await settle()
    assert state(limited) == (0, 0)


async def test_a_caller_who_goes_in_the_moment_of_the_answer_costs_no_place(
    gate: Gate, limited: BatchingPredictor
) -> None:
    tasks = [start(limited, query(number)) for number in range(3)]
    await settle()
    gate.ends[0].set_result(None)
    await settle()
    gate.ends[2].set_result(None)
    tasks[2].cancel()
    gate.ends[1].set_result(None)
    await settle()
    assert state(limited) == (0, 0)


@pytest.mark.parametrize("error", [PredictorUnavailableError("x"), ZeroDivisionError("x")])
async def test_a_joined_request_that_fails_fails_all_of_its_callers(
    gate: Gate, limited: BatchingPredictor, error: Exception
) -> None:
    tasks = [start(limited, query(number)) for number in range(4)]
    await settle()
    gate.ends[0].set_result(None)
    await settle()
    gate.ends[2].set_exception(error)
    gate.ends[1].set_result(None)
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in found] == [list, list, type(error), type(error)]
    assert state(limited) == (0, 0)


async def test_waiting_counts_against_the_time(gate: Gate) -> None:
    now = 100.0
    limited = BatchingPredictor(gate, in_flight=1, waiting=5, monotonic=lambda: now)
    first = start(limited, query(0))
    await settle()
    short = asyncio.create_task(limited.predict([query(1)], 1.0))
    long = asyncio.create_task(limited.predict([query(2)], 4.0))
    longer = asyncio.create_task(limited.predict([query(3)], 6.0))
    await settle()
    now = 101.5
    gate.ends[0].set_result(None)
    await settle()
    assert codes(gate.calls[1:]) == [[2, 3]]
    assert gate.timeouts[1] == pytest.approx(4.5)
    with pytest.raises(DeadlineExceededError):
        await short
    gate.ends[1].set_result(None)
    await asyncio.gather(first, long, longer)
    assert state(limited) == (0, 0)


async def test_closing_gives_up_what_is_under_way(gate: Gate, limited: BatchingPredictor) -> None:
    tasks = [start(limited, query(number)) for number in range(3)]
    await settle()
    gate.ends[0].set_result(None)
    await settle()
    await limited.close()
    gate.ends[1].set_result(None)
    await settle()
    assert gate.closed
    assert tasks[2].cancelled() or isinstance(tasks[2].exception(), asyncio.CancelledError)
    assert state(limited) == (0, 0)
