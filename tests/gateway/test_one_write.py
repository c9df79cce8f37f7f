"""What is written in one turn of the event loop leaves in one piece, and before the end."""

import asyncio

from gateway.one_write import GatheredTransport


class Wire(asyncio.Transport):
    """Keeps what is sent, in the pieces in which it is."""

    def __init__(self) -> None:
        super().__init__({"peername": ("10.0.0.1", 5)})
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


async def test_one_piece_a_turn() -> None:
    wire = Wire()
    transport = GatheredTransport(wire, asyncio.get_running_loop())
    transport.write(b"head ")
    transport.write(b"body")
    assert wire.sent == []
    await asyncio.sleep(0)
    assert wire.sent == [b"head body"]
    transport.write(b"next")
    await asyncio.sleep(0)
    assert wire.sent == [b"head body", b"next"]


async def test_what_was_written_is_sent_before_the_end() -> None:
    wire = Wire()
    transport = GatheredTransport(wire, asyncio.get_running_loop())
    transport.write(b"last words")
    transport.close()
    assert wire.sent == [b"last words"]
    assert transport.is_closing()
    await asyncio.sleep(0)
    assert wire.sent == [b"last words"]


async def test_a_client_that_has_gone_is_sent_nothing() -> None:
    wire = Wire()
    transport = GatheredTransport(wire, asyncio.get_running_loop())
    transport.write(b"too late")
    wire.close()
    await asyncio.sleep(0)
    assert wire.sent == []
    assert transport.get_extra_info("peername") == ("10.0.0.1", 5)
