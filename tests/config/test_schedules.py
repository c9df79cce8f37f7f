"""The weekly maintenance, scheduled three ways: each file says what its reader understands."""

import configparser
import shutil
import subprocess
from pathlib import Path

import click
import pytest
import yaml

from gateway.cli import main
from tests.paths import PROJECT_ROOT

CONFIG = PROJECT_ROOT / "config"
JOBS = CONFIG / "kubernetes" / "base" / "jobs"


def assert_command(words: list[str]) -> None:
    """That `tezi` takes these words, which begin with its own name."""
    assert Path(words[0]).name == "tezi"
    command = main.get_command(click.Context(main), words[1])
    assert command is not None
    command.make_context(words[1], words[2:], resilient_parsing=False)


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd minds the case
    parser.read(CONFIG / "systemd" / name, encoding="utf-8")
    return parser


def test_cron_runs_it_weekly() -> None:
    text = (CONFIG / "cron" / "tezi-maintain").read_text("utf-8")
    *_, job = text.splitlines()
    *times, user, command = job.split(maxsplit=6)
    assert (times, user) == (["30", "3", "*", "*", "0"], "tezi")
    assert "CRON_TZ=Asia/Kolkata" in text
    assert "%" not in command  # cron would end the line there
    before, words = command.split(" .venv/bin/")
    assert before == "cd /opt/tezi && timeout 3h"
    assert_command(words.split())
    assert text.endswith("\n")  # cron leaves out a last line without an end


def test_systemd_runs_it_at_the_same_hour() -> None:
    service, timer = unit("tezi-maintain.service")["Service"], unit("tezi-maintain.timer")["Timer"]
    assert service["User"] not in ("root", "0")
    assert_command(service["ExecStart"].split())
    assert service["ReadWritePaths"] == f"{service['WorkingDirectory']}/data"
    assert timer["OnCalendar"] == "Sun *-*-* 03:30:00 Asia/Kolkata"
    assert timer["Unit"] == "tezi-maintain.service"


def test_systemd_accepts_all_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not here")
    for file in (CONFIG / "systemd").iterdir():
        text = file.read_text("utf-8")
        # The program of a real installation is not on this machine.
        (tmp_path / file.name).write_text(text.replace("/opt/tezi/.venv/bin/tezi", "/bin/true"))
    checked = subprocess.run(
        [analyze, "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert [line for line in checked.stderr.splitlines() if "tezi-" in line] == []


def test_kubernetes_runs_it_at_the_same_hour() -> None:
    spec = yaml.safe_load((JOBS / "maintain.yaml").read_text("utf-8"))["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("30 3 * * 0", "Asia/Kolkata")
    assert spec["concurrencyPolicy"] == "Forbid"
    run = spec["jobTemplate"]["spec"]
    assert 0 < run["activeDeadlineSeconds"] <= 3 * 3600
    (container,) = run["template"]["spec"]["containers"]
    assert_command(container["command"])
