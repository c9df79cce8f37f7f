"""The commands of docs/real-market.md, taken from the page itself."""

import re
import shlex

from tests.paths import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "real-market.md"


def documented_commands() -> list[list[str]]:
    """Every `tezi` line of the page's bash blocks, split into words, in order."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    lines = "\n".join(blocks).splitlines()
    return [shlex.split(line) for line in lines if line.startswith("tezi ")]


def commands_before(word: str) -> list[list[str]]:
    """The documented commands before `tezi WORD`."""
    commands = documented_commands()
    index = next(index for index, command in enumerate(commands) if command[1] == word)
    return commands[:index]
