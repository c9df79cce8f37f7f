"""docs/database.md does what it says: its commands and its examples are run."""

import re
import shlex
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.maintenance.run import TASKS
from preprocess.demo.market import build_demo_market
from preprocess.features.derive import refresh_derived
from preprocess.settings import load_settings
from preprocess.store import open_store
from preprocess.store.upkeep import KEPT_MARKS
from tests.paths import PROJECT_ROOT

PAGE = (PROJECT_ROOT / "docs" / "database.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(autouse=True)
def _market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small demo market, in a folder that the commands may write to."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"DATA_DIR": tmp_path / "data", "DATABASE_URL": "", "REDIS_URL": ""}.items():
        monkeypatch.setenv(f"TEZI_{name}", str(value))
    settings = load_settings()
    store = open_store(settings, write=True)
    build_demo_market(
        store,
        last_day=date(2026, 8, 14),
        stocks=10,
        trading_days=80,
        derive=lambda writer: refresh_derived(writer, circuit_pct=settings.circuit_pct),
    )
    store.close()


def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    examples = blocks("python")
    assert len(examples) == 4
    for example in examples:
        exec(compile(example, "docs/database.md", "exec"), {})
    printed = capsys.readouterr().out
    assert re.search(r"^[1-9][0-9]* samples$", printed, re.MULTILINE)
    assert "bars of a stock" in printed
    assert "daily_predictions_by_day" in printed
    assert "('date', 'close') " in printed
    assert "(10,)" in printed


def test_the_commands_run() -> None:
    lines = filter(None, "\n".join(blocks("bash")).splitlines())
    commands = [shlex.split(line, comments=True) for line in lines]
    assert ["tezi", "maintain"] in commands
    for _, *words in commands:
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, (words, done.output)


def test_the_page_names_what_there_is() -> None:
    tasks = re.findall(r"^\| (\w+) \| ", PAGE.split("| task | does |")[1], re.MULTILINE)
    assert tasks[:-1] == [chore.name for chore in TASKS]
    assert f"newest {KEPT_MARKS:,} transactions" in PAGE
    for file in re.findall(r"`(config/[^`]+)`", PAGE):
        assert (PROJECT_ROOT / file).is_file()
