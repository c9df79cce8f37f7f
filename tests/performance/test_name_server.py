"""The name server of a benchmark, asked by the resolver of gRPC."""

from pathlib import Path

from tritonclient.grpc import service_pb2, service_pb2_grpc

from preprocess.triton.channel import open_channel
from tests.integration.stack import free_ports
from tests.performance.name_server import NameServer, answer
from tests.repository.fake_triton import FakeTriton, serving

QUESTION = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06triton\x04test\x00\x00\x01\x00\x01"


def test_an_answer_names_every_address() -> None:
    found = answer(QUESTION, ["127.0.0.1", "127.0.0.2"])
    assert found[:2] == QUESTION[:2]
    assert found[6:8] == b"\x00\x02"
    assert found.endswith(b"\x00\x04\x7f\x00\x00\x02")
    ipv6 = QUESTION[:-4] + b"\x00\x1c\x00\x01"
    assert answer(ipv6, ["127.0.0.1"])[6:8] == b"\x00\x00"


async def test_grpc_finds_a_triton_by_it(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with NameServer(["127.0.0.1"]) as names:
        async with serving(FakeTriton(tmp_path), f"127.0.0.1:{port}"):
            channel = open_channel(f"dns://127.0.0.1:{names.port}/triton.test:{port}")
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            try:
                request = service_pb2.ServerLiveRequest()
                live = await stub.ServerLive(request, timeout=10, wait_for_ready=True)
            finally:
                await channel.close()
    assert live.live
