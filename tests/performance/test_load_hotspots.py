"""The profile under load: what samples mean, and that they are taken."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from preprocess.errors import TeziError
from tests.performance.load_test.stacks import PARTS, REST, Stacks, part_of, watching

SERVE = "serve (gateway/server.py:64)"
SPIN = "def spin():\n    while True:\n        pass\n\nspin()\n"


def test_the_innermost_frame_that_is_known_says_the_part() -> None:
    read = "Link.ask (preprocess/cache/link.py:50)"
    look = "Core.look (preprocess/cache/core.py:109)"
    assert part_of([SERVE, look]) == "cache"
    assert part_of([SERVE, look, read, "readinto (socket.py:1)"]) == "Redis client"
    assert part_of([SERVE, look, "decode (msgspec/x.py:1)"]) == "cache"
    assert part_of(["run (asyncio/runners.py:1)"]) == REST


def test_shares_are_of_all_samples() -> None:
    stacks = Stacks()
    stacks.read(
        f"{SERVE};invoke (grpc/aio/_call.py:595) 30\n"
        f"{SERVE};send (uvicorn/protocols/http/httptools_impl.py:524) 15\n"
        f"{SERVE};send (uvicorn/protocols/http/httptools_impl.py:551) 5\n"
    )
    stacks.read("run (asyncio/runners.py:118) 50\n")
    shares = stacks.shares()
    assert stacks.total == 100
    assert shares.keys() == {REST, *(name for name, _ in PARTS)}
    assert {name: share for name, share in shares.items() if share} == {
        "Triton client": 0.3,
        "HTTP server": 0.2,
        REST: 0.5,
    }
    assert stacks.innermost(2) == [
        ("run (asyncio/runners.py)", 0.5),
        ("invoke (grpc/aio/_call.py)", 0.3),
    ]


def test_a_process_is_sampled_while_it_runs(tmp_path: Path) -> None:
    script = tmp_path / "spinning.py"
    script.write_text(SPIN)
    with subprocess.Popen([sys.executable, script]) as process:
        try:
            time.sleep(0.3)
            with watching([process.pid]) as stacks:
                time.sleep(1.0)
        finally:
            process.kill()
    assert stacks.total > 20
    ((name, share),) = stacks.innermost(1)
    assert name.startswith("spin (")
    assert share > 0.8


def test_a_process_that_is_gone() -> None:
    with pytest.raises(TeziError, match="py-spy could not sample"), watching([2**22 - 1]):
        time.sleep(0.3)


def test_without_py_spy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(TeziError, match="make setup-dev"), watching([1]):
        pass
