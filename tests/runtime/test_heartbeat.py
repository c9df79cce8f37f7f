"""The file by which a container's health check sees when the golden rows last came back right."""

import os
from pathlib import Path

import pytest

from preprocess.errors import ServerError
from preprocess.runtime.heartbeat import Heartbeat

LONG_AGO = 1_000_000_000


class Check:
    """A check whose outcome a test sets."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.timeouts: list[float] = []

    async def __call__(self, timeout_s: float) -> None:
        self.timeouts.append(timeout_s)
        if self.error is not None:
            raise self.error


async def test_each_right_answer_makes_the_file_new(tmp_path: Path) -> None:
    file, check = tmp_path / "heartbeat", Check()
    beat = Heartbeat(check, file)
    await beat(1.5)
    os.utime(file, (LONG_AGO, LONG_AGO))
    await beat(2.5)
    assert file.stat().st_mtime > LONG_AGO
    assert check.timeouts == [1.5, 2.5]


@pytest.mark.parametrize("error", [ServerError("wrong"), TimeoutError("late")])
async def test_any_other_answer_lets_it_grow_old(tmp_path: Path, error: Exception) -> None:
    file, check = tmp_path / "heartbeat", Check()
    check.error = error
    beat = Heartbeat(check, file)
    with pytest.raises(type(error)):
        await beat(1.0)
    assert not file.exists()
    file.touch()
    os.utime(file, (LONG_AGO, LONG_AGO))
    with pytest.raises(type(error)):
        await beat(1.0)
    assert file.stat().st_mtime == LONG_AGO
