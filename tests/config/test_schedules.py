"""The weekly maintenance, scheduled three ways: each file says what its reader understands."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest
import yaml

from preprocess.cli import main
from preprocess.settings import PROJECT_ROOT

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
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    variables = [line for line in lines if re.fullmatch(r"[A-Z_]+=\S*", line)]
    (job,) = [line for line in lines if line not in variables]
    *times, user, command = job.split(maxsplit=6)
    assert times == ["30", "3", "*", "*", "0"]
    assert user == "tezi"
    assert "%" not in command  # cron would end the line there
    before, words = command.split(" .venv/bin/")
    assert before == "cd /opt/tezi && timeout 3h"
    assert_command(words.split())
    assert text.endswith("\n")  # cron leaves out a last line without an end


def test_the_service_of_systemd() -> None:
    service = unit("tezi-maintain.service")["Service"]
    assert service["Type"] == "oneshot"
    assert service["User"] not in ("root", "0")
    assert service["TimeoutStartSec"] == "3h"
    assert_command(service["ExecStart"].split())
    assert service["ReadWritePaths"] == f"{service['WorkingDirectory']}/data"


def test_the_timer_of_systemd() -> None:
    timer = unit("tezi-maintain.timer")
    assert timer["Timer"]["OnCalendar"] == "Sun *-*-* 03:30:00 Asia/Kolkata"
    assert timer["Timer"]["Persistent"] == "true"
    assert (CONFIG / "systemd" / timer["Timer"]["Unit"]).is_file()
    assert timer["Install"]["WantedBy"] == "timers.target"


def test_systemd_takes_both(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not here")
    for name in ("tezi-maintain.service", "tezi-maintain.timer"):
        text = (CONFIG / "systemd" / name).read_text("utf-8")
        # The program of a real installation is not on this machine.
        (tmp_path / name).write_text(text.replace("/opt/tezi/.venv/bin/tezi", "/bin/true"))
    checked = subprocess.run(
        [analyze, "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = [line for line in checked.stderr.splitlines() if "tezi-maintain" in line]
    assert said == []
    calendar = subprocess.run(
        [analyze, "calendar", unit("tezi-maintain.timer")["Timer"]["OnCalendar"]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert calendar.returncode == 0, calendar.stderr


def test_the_cron_job_of_kubernetes() -> None:
    job = yaml.safe_load((JOBS / "maintain.yaml").read_text("utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    spec = job["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("30 3 * * 0", "Asia/Kolkata")
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] > 0
    run = spec["jobTemplate"]["spec"]
    assert 0 < run["activeDeadlineSeconds"] <= 3 * 3600
    pod = run["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    assert_command(container["command"])


def test_all_three_keep_the_same_hour() -> None:
    cron = (CONFIG / "cron" / "tezi-maintain").read_text("utf-8")
    timer = unit("tezi-maintain.timer")["Timer"]["OnCalendar"]
    job = yaml.safe_load((JOBS / "maintain.yaml").read_text("utf-8"))
    assert "\n30 3 * * 0 " in cron
    assert "CRON_TZ=Asia/Kolkata" in cron
    assert timer.startswith("Sun ")
    assert timer.endswith("03:30:00 Asia/Kolkata")
    assert job["spec"]["schedule"] == "30 3 * * 0"
