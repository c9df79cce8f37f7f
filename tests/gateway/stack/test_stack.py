"""Who may run on a data folder, and a stack that is told to end before it has begun."""

import os
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from gateway.stack import ports
from gateway.stack.data_folder import only_stack
from gateway.stack.servers import Stack, make_stack
from gateway.stack.stack import run_stack, serve_triton, touching
from gateway.stack.supervisor import Lines, Notice
from preprocess.errors import ServerError
from preprocess.settings import Settings, load_settings

LONG_AGO = 1_000_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    http, triton_http, grpc, metrics = ports.free_ports(ports.LOOPBACK, 4)
    return load_settings(
        data_dir=tmp_path,
        http_port=http,
        triton_http_port=triton_http,
        triton_grpc_port=grpc,
        triton_metrics_port=metrics,
    )


@pytest.fixture
def unhandled() -> Iterator[list[int]]:
    """SIGTERMs that would have ended the process."""
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    yield seen
    signal.signal(signal.SIGTERM, before)


def test_one_stack_per_data_folder(settings: Settings) -> None:
    with (
        only_stack(settings),
        pytest.raises(ServerError, match="Another stack runs on"),
        only_stack(settings),
    ):
        pass
    with only_stack(settings):
        pass


async def test_a_single_triton_does_not_start_on_the_folder_of_a_stack(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.stack.stack._LOCK_WAIT_S", 0.1)
    with only_stack(settings), pytest.raises(ServerError, match="Another stack runs on"):
        await serve_triton(settings, lines=lambda *_: None, notice=lambda _: None)


@pytest.mark.parametrize("error", [None, ServerError("wrong"), TimeoutError("late")])
async def test_only_a_correct_answer_touches_the_heartbeat(
    tmp_path: Path, error: Exception | None
) -> None:
    async def check(timeout_s: float) -> None:
        assert timeout_s == 1.5
        if error is not None:
            raise error

    file = tmp_path / "heartbeat"
    file.touch()
    os.utime(file, (LONG_AGO, LONG_AGO))
    with nullcontext() if error is None else pytest.raises(type(error)):
        await touching(check, file)(1.5)
    assert (file.stat().st_mtime > LONG_AGO) == (error is None)


async def test_a_signal_before_the_servers_start_ends_the_stack_in_order(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, unhandled: list[int]
) -> None:
    def told_to_end_meanwhile(settings: Settings, *, lines: Lines, notice: Notice) -> Stack:
        made = make_stack(settings, lines=lines, notice=notice)
        os.kill(os.getpid(), signal.SIGTERM)
        return made

    monkeypatch.setattr("gateway.stack.stack.make_stack", told_to_end_meanwhile)
    said: list[str] = []
    await run_stack(
        settings, lines=lambda *_: None, notice=said.append, ready=lambda: said.append("ready")
    )
    assert said == ["stopping"]
    assert unhandled == []
