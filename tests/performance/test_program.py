"""`python -m tests.performance`: which benchmarks there are, and which options each takes."""

import pytest
from click.testing import CliRunner

from tests.performance.__main__ import BENCHMARKS, main


def test_help_names_every_benchmark() -> None:
    said = CliRunner().invoke(main, ["--help"]).output
    assert all(f"\n  {name} " in said for name in BENCHMARKS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "is not one of"),
        (["serve", "--scale", "0.5"], "Only `load` takes --scale"),
        (["load", "--cpu-ms-per-request", "1,1"], "Only `scaling` takes --cpu-ms-per-request"),
    ],
)
def test_what_cannot_be_run_is_refused(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert words in done.output
