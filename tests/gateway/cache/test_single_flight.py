"""One computation a key, for coroutines."""

import asyncio

from gateway.cache.core import Moment
from gateway.cache.single_flight import SingleFlight, outcome_of


async def test_an_older_computation_that_ends_leaves_the_newer_one_to_be_joined() -> None:
    flights, gates = SingleFlight(lambda _moment: True), (asyncio.Event(), asyncio.Event())

    async def compute(gate: asyncio.Event) -> dict[str, object]:
        await gate.wait()
        return {"k": 1}

    older, newer = (flights.start(["k"], Moment(0), compute(gate)) for gate in gates)
    gates[0].set()
    assert await outcome_of(older) == {"k": 1}
    assert flights.join(["k"]) == {newer: ["k"]}
    gates[1].set()
    await outcome_of(newer)
    assert flights.join(["k"]) == {}
