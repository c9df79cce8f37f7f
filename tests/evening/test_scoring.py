"""Batches through a Triton that fails, lies and stops answering."""

import asyncio
from collections.abc import Callable
from datetime import date
from typing import Any

import grpc
import numpy as np
import pytest

from preprocess.errors import EveningError
from preprocess.evening.outcome import Outcome, Reason, Scored, Skipped
from preprocess.evening.scoring import Patience, TritonScorer, in_order
from preprocess.settings import Settings
from tests.evening.fakes import GONE, FakeTriton, Row

DAY = date(2024, 5, 31)
QUICK = Patience(answer=2.0, tries=3, first_pause=0.01)
CODES = ["500100", "500200", "500300"]


async def scored(settings: Settings, codes: list[str] = CODES) -> list[Outcome]:
    async with TritonScorer(settings.triton_grpc_address, "fp32", patience=QUICK) as scorer:
        return [row async for batch in scorer.batches(codes, DAY) for row in batch]


async def test_answers_come_in_the_order_of_the_question(
    settings: Settings, triton: FakeTriton, small_batches: None
) -> None:
    async with TritonScorer(settings.triton_grpc_address, "fp32") as scorer:
        batches = [batch async for batch in scorer.batches(CODES, DAY)]
        traffic = scorer.traffic
    assert [[row.bse_code for row in batch] for batch in batches] == [CODES[:2], CODES[2:]]
    assert triton.asked == [CODES[:2], CODES[2:]]
    first = batches[0][0]
    assert first == Scored("500100", float(np.float32(0.1)), "2024-05-31", 1)
    assert (traffic.requests, traffic.retries) == (2, 0)
    assert traffic.sent > 2 * 24
    assert traffic.received > 3 * 32
    assert traffic.seconds > 0


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (Row(status="SHORT_HISTORY", probability=float("nan")), Reason.SHORT_HISTORY),
        (Row(status="UNKNOWN_STOCK", probability=float("nan")), Reason.UNKNOWN_STOCK),
        (Row(status="INVALID_CODE", probability=0.4), Reason.INVALID_CODE),
        (Row(probability=float("nan")), Reason.INVALID_ANSWER),
        (Row(probability=1.5), Reason.INVALID_ANSWER),
        (Row(as_of=""), Reason.INVALID_ANSWER),
        (Row(as_of="2024-06-01"), Reason.INVALID_ANSWER),
    ],
)
async def test_a_row_without_a_probability_says_why_and_fails_alone(
    settings: Settings, triton: FakeTriton, row: Row, reason: Reason
) -> None:
    triton.row = lambda code: row if code == "500200" else Row()
    one, two, three = await scored(settings)
    assert two == Skipped("500200", reason)
    assert isinstance(one, Scored)
    assert isinstance(three, Scored)


async def test_a_failure_that_passes_costs_a_retry(settings: Settings, triton: FakeTriton) -> None:
    triton.failures = [GONE, (grpc.StatusCode.INTERNAL, "once more")]
    assert len(await scored(settings)) == 3
    assert triton.asked == [CODES] * 3


async def test_a_triton_that_stays_away_is_given_up(settings: Settings, triton: FakeTriton) -> None:
    triton.failures = [GONE] * 9
    with pytest.raises(EveningError, match="did not answer in 3 tries: UNAVAILABLE: the server is"):
        await scored(settings)
    assert len(triton.asked) == 3


async def test_no_server_at_all(settings: Settings) -> None:
    with pytest.raises(EveningError, match=r"tezi up"):
        await scored(settings)


def shortened(response: Any) -> None:
    response.outputs[1].shape[0] = 2


def without_bytes(response: Any) -> None:
    del response.raw_output_contents[0]


def without_version(response: Any) -> None:
    del response.outputs[3]
    del response.raw_output_contents[3]


def torn(response: Any) -> None:
    response.raw_output_contents[2] = response.raw_output_contents[2][:-1]


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        (shortened, r"status is BYTES \[2, 1\], not BYTES \[3, 1\]"),
        (without_bytes, "an output comes without its bytes"),
        (without_version, "no output model_version"),
        (torn, "11 bytes instead of 12"),
    ],
)
async def test_short_answers_are_not_believed(
    settings: Settings, triton: FakeTriton, change: Callable[[Any], None], trouble: str
) -> None:
    triton.changes = [change]
    assert len(await scored(settings)) == 3
    triton.changes = [change] * 3
    with pytest.raises(EveningError, match=trouble):
        await scored(settings)


@pytest.mark.parametrize("word", ["STORE_UNAVAILABLE", "OVER_THE_MOON"])
async def test_a_status_that_is_no_answer_fails_the_batch(
    settings: Settings, triton: FakeTriton, word: str
) -> None:
    triton.row = lambda code: Row(status=word)
    with pytest.raises(EveningError, match=r"no market database|is not known"):
        await scored(settings)


async def test_no_more_than_the_width_is_under_way_and_a_failure_stops_the_rest() -> None:
    running = most = done = 0

    async def piece(number: int) -> int:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        try:
            await asyncio.sleep(0.001 * (10 - number))
        finally:
            running -= 1
        if number == 6:
            raise EveningError("six")
        done += 1
        return number

    assert [n async for n in in_order(map(piece, range(5)), width=3)] == [0, 1, 2, 3, 4]
    assert most == 3
    done = 0
    with pytest.raises(EveningError, match="six"):
        [n async for n in in_order(map(piece, range(4, 100)), width=2)]
    assert running == 0
    assert done <= 3, "pieces were begun after the failure"
