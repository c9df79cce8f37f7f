"""What Python processes were doing, sampled from outside while they serve.

py-spy reads their memory and does not stop them: a sample now and then is of two moments, which
shifts no share by much, while stopping them would show in every latency.
"""

import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from preprocess.errors import TeziError

_RATE = "200"
_LONGEST_S = "600"
_END_S = 30.0
_LINE = re.compile(r":\d+\)$")

# The innermost frame that one of these is found in says what part a sample belongs to.
PARTS: Sequence[tuple[str, Sequence[str]]] = (
    ("Redis client", ("(redis/", "cache/link")),
    ("cache", ("preprocess/cache/", "async_cache_manager", "gateway/cached_predictor")),
    (
        "Triton client",
        ("(grpc/", "(tritonclient/", "gateway/triton", "gateway/http/", "preprocess/triton/"),
    ),
    ("HTTP server", ("(uvicorn/", "(httptools/", "gateway/one_write")),
    ("routing, middleware", ("(starlette/", "gateway/middleware/")),
    ("validation, answers", ("(pydantic/", "gateway/")),
)
REST = "event loop"


@dataclass
class Stacks:
    """Samples of processes by stack, outermost frame first."""

    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """How many there are."""
        return self.counts.total()

    def shares(self) -> dict[str, float]:
        """The share of each part, 0 to 1."""
        found = dict.fromkeys((*(name for name, _ in PARTS), REST), 0.0)
        for stack, count in self.counts.items():
            found[part_of(stack)] += count / self.total
        return found

    def innermost(self, most: int) -> list[tuple[str, float]]:
        """The functions that were running most often themselves, and their shares."""
        own: Counter[str] = Counter()
        for stack, count in self.counts.items():
            own[_LINE.sub(")", stack[-1])] += count
        return [(name, count / self.total) for name, count in own.most_common(most)]

    def read(self, text: str) -> None:
        """Add what py-spy wrote: a line a stack, its frames by semicolons, a count at its end."""
        for line in text.splitlines():
            stack, _, count = line.rpartition(" ")
            self.counts[tuple(stack.split(";"))] += int(count)


def part_of(stack: Sequence[str]) -> str:
    """The part of a gateway that a sample belongs to."""
    for frame in reversed(stack):
        for name, words in PARTS:
            if any(word in frame for word in words):
                return name
    return REST


@contextmanager
def watching(pids: Sequence[int]) -> Iterator[Stacks]:
    """Sample the Python code of these processes until the block ends; the stacks are read then.

    Counted is who holds the interpreter: a thread that waits takes no processor time.

    Raises:
        TeziError: py-spy is not installed, or may not look at the processes.
    """
    program = Path(sys.executable).with_name("py-spy")
    if not program.is_file():
        raise TeziError("The profile needs py-spy: `make setup-dev` installs it.")
    found = Stacks()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as spies:
        files = [Path(folder) / f"{pid}.txt" for pid in pids]
        running = [
            spies.enter_context(_spy(program, pid, file))
            for pid, file in zip(pids, files, strict=True)
        ]
        yield found
        for spy in running:
            spy.terminate_and_wait()
        for file in files:
            found.read(file.read_text("utf-8"))


@dataclass(frozen=True)
class _Spy:
    process: "subprocess.Popen[str]"

    def terminate_and_wait(self) -> None:
        """Let it write what it has."""
        self.process.send_signal(signal.SIGINT)
        _, errors = self.process.communicate(timeout=_END_S)
        if self.process.returncode != 0:
            raise TeziError(f"py-spy could not sample: {errors.strip()[-300:]}")


@contextmanager
def _spy(program: Path, pid: int, target: Path) -> Iterator[_Spy]:
    command = [str(program), "record", "--pid", str(pid), "--nonblocking", "--gil"]
    command += ["--rate", _RATE, "--duration", _LONGEST_S]
    command += ["--format", "raw", "--output", str(target)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _Spy(process)
        finally:
            process.kill()
