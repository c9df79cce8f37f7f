"""A channel to a name that leads to several Tritons."""

import asyncio
from collections import Counter
from pathlib import Path

from tritonclient.grpc import service_pb2, service_pb2_grpc

from preprocess.triton.channel import open_channel
from tests.integration.stack import free_ports
from tests.repository.fake_triton import FakeTriton, serving


class Named(FakeTriton):
    """Says which one it is."""

    async def ServerMetadata(self, request: object, context: object) -> object:  # noqa: N802 - gRPC's name
        return service_pb2.ServerMetadataResponse(name=self.repository.name)


async def test_each_takes_its_turn_and_one_that_is_gone_is_missed_by_nobody(tmp_path: Path) -> None:
    ports = free_ports(2)
    channel = open_channel("ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports))
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)

    async def ask() -> str:
        request = service_pb2.ServerMetadataRequest()
        answer = await stub.ServerMetadata(request, timeout=5, wait_for_ready=True)
        return str(answer.name)

    try:
        async with serving(Named(tmp_path / "first"), f"127.0.0.1:{ports[0]}"):
            async with serving(Named(tmp_path / "second"), f"127.0.0.1:{ports[1]}"):
                seen: Counter[str] = Counter()
                async with asyncio.timeout(10):
                    while len(seen) < 2:  # until both are connected
                        seen[await ask()] += 1
                turns = Counter([await ask() for _ in range(20)])
            alone = Counter([await ask() for _ in range(5)])
    finally:
        await channel.close()
    assert turns == {"first": 10, "second": 10}
    assert alone == {"first": 5}
