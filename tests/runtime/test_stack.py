"""Who may run on a data folder, and a stack that is told to end before it has begun."""

import os
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from preprocess.errors import ServerError
from preprocess.runtime import ports
from preprocess.runtime.servers import Lines, Notice, Stack, make_stack
from preprocess.runtime.stack import only_stack, run_stack
from preprocess.settings import Settings, load_settings


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


@pytest.mark.parametrize(
    ("first", "second", "allowed"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_tritons_by_themselves_share_a_folder_and_nobody_else(
    settings: Settings, first: bool, second: bool, allowed: bool
) -> None:
    refused = pytest.raises(ServerError, match="Another stack runs on")
    with (
        only_stack(settings, shared=first),
        nullcontext() if allowed else refused,
        only_stack(settings, shared=second),
    ):
        pass
    with only_stack(settings):
        pass


async def test_a_signal_that_comes_before_the_servers_ends_it_in_order(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, unhandled: list[int]
) -> None:
    def told_to_end_meanwhile(settings: Settings, *, lines: Lines, notice: Notice) -> Stack:
        made = make_stack(settings, lines=lines, notice=notice)
        os.kill(os.getpid(), signal.SIGTERM)
        return made

    monkeypatch.setattr("preprocess.runtime.stack.make_stack", told_to_end_meanwhile)
    said: list[str] = []
    await run_stack(
        settings, lines=lambda *_: None, notice=said.append, ready=lambda: said.append("ready")
    )
    assert said == ["stopping"]
    assert unhandled == []
