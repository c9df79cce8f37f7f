"""One computation a key, for coroutines."""

import asyncio

from preprocess.cache.async_flight import AsyncFlights, landing
from preprocess.cache.core import Moment
from preprocess.cache.outcome import Landed


async def test_an_older_computation_that_ends_leaves_the_newer_one_to_be_joined() -> None:
    flights, gates = AsyncFlights(lambda _key, _moment: True), (asyncio.Event(), asyncio.Event())

    async def compute(gate: asyncio.Event) -> dict[str, Landed]:
        await gate.wait()
        return {"k": Landed()}

    older, newer = (flights.lead(["k"], Moment(0), compute(gate)) for gate in gates)
    gates[0].set()
    assert await landing(older) == {"k": Landed()}
    assert flights.joined(["k"]) == {newer: ["k"]}
    gates[1].set()
    await landing(newer)
    assert flights.joined(["k"]) == {}
