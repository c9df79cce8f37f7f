"""Tools of their own: installed once, pinned, clear when they cannot be installed."""

from pathlib import Path

import pytest

from preprocess.errors import TeziError
from tests.performance.tool_folder import tool_folder


def test_a_tool_that_cannot_be_installed_leaves_what_is_there(tmp_path: Path) -> None:
    locks = tmp_path / "locks"
    locks.mkdir()
    lock = locks / "tool.lock"
    lock.write_text("# nothing\n")
    folder = tool_folder(tmp_path, "tool", locks=locks)
    (folder / "made.txt").touch()
    assert tool_folder(tmp_path, "tool", locks=locks) == folder
    assert (folder / "made.txt").is_file()  # not installed a second time
    lock.write_text(f"{tmp_path}/nothing-1.0-py3-none-any.whl --hash=sha256:{'0' * 64}\n")
    with pytest.raises(TeziError, match="tool cannot be installed"):
        tool_folder(tmp_path, "tool", locks=locks)
    assert (folder / "made.txt").is_file()
    assert [path.name for path in (tmp_path / "tools").iterdir()] == ["tool"]
