"""The `tezi` command as a user meets it: help, errors in one line, nothing lost."""

import socket
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from gateway.cli import COMMANDS, main
from preprocess.features.derive import refresh_derived
from preprocess.market.values import CircuitLabel, CorporateAction
from preprocess.settings import Settings, load_settings
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import MONDAY, bars, result
from tests.integration.stack import TEZI, free_ports

Run = Callable[..., Result]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    ports = free_ports(4)
    names = ("HTTP_PORT", "TRITON_HTTP_PORT", "TRITON_GRPC_PORT", "TRITON_METRICS_PORT")
    for name, port in zip(names, ports, strict=True):
        monkeypatch.setenv(f"TEZI_{name}", str(port))
    monkeypatch.setenv("TEZI_DATA_DIR", str(tmp_path / "data"))
    return load_settings()


@pytest.fixture
def run(settings: Settings) -> Run:
    return lambda *arguments: CliRunner().invoke(main, [str(word) for word in arguments])


def commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        children = command.commands if isinstance(command, click.Group) else {}
        found += [(name, child) for child in children] or [(name,)]
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_explains_itself_with_an_example(run: Run, command: tuple[str, ...]) -> None:
    shown = run(*command, "--help")
    assert shown.exit_code == 0
    assert "Usage:" in shown.output
    assert f"tezi {' '.join(command)}" in shown.output.split("Usage:")[1].split("\n", 1)[1]


def test_the_list_of_commands_and_an_unknown_one(run: Run) -> None:
    listed = run("--help").output
    assert all(f"  {name} " in listed for name in COMMANDS)
    unknown = run("predikt")
    assert unknown.exit_code == 2
    assert "No such command" in unknown.output


def test_a_misspelt_setting_is_pointed_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEZI_HTTP_PROT", "1")
    assert "TEZI_HTTP_PROT is not a setting" in run("migrate").output


def test_migrate_makes_a_database_and_does_nothing_twice(run: Run, settings: Settings) -> None:
    for _ in range(2):
        assert run("migrate").exit_code == 0
    store = SQLiteStore(settings.database_path)
    assert store.span().price_rows == 0
    store.close()


def test_static_features_by_month(run: Run, settings: Settings) -> None:
    store = SQLiteStore(settings.database_path, write=True)
    assert "no prices yet" in run("features", "static").output
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [10.0] * 40))
        writer.put_results([("500001", result(2024, 2))])
    one = run("features", "static", "--month", "2024-02")
    assert one.output == "Computed 1 month(s); 1 stock(s) changed.\n"
    assert store.stamped_months() == {"2024-02"}
    assert "Computed 2 month(s)" in run("features", "static").output
    assert run("features", "static").output == "Computed 2 month(s); 0 stock(s) changed.\n"
    assert "--month takes" in run("features", "static", "--month", "August").output
    store.close()


def test_prices_are_taken_out_with_what_rested_on_them(run: Run, settings: Settings) -> None:
    store = SQLiteStore(settings.database_path, write=True)
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [10.0] * 40))
        writer.put_results([("500001", result(2024, 3, announced=MONDAY + timedelta(days=30)))])
        refresh_derived(writer, circuit_pct=5.0)
    assert len(labels_of(store)) == 1
    one = run("delete-prices", "500001", "--from", "2024-01-31")
    assert one.output == "1 daily prices deleted.\n"
    label = labels_of(store)[0]
    assert label.next_day_date == MONDAY + timedelta(days=31)
    rest = run("delete-prices", "500001", "500001", "--from", "2024-01-31", "--to", "2024-12-31")
    assert rest.output.startswith("17 daily prices deleted.")
    assert labels_of(store) == ()
    assert "0 daily prices" in run("delete-prices", "500001", "--from", "2024-01-31").output
    unknown = run("delete-prices", "500001", "999999", "--from", "2024-01-01")
    assert (unknown.exit_code, "Not in the database: 999999" in unknown.output) == (1, True)
    wrong = run("delete-prices", "500001", "--from", "2024-02-02", "--to", "2024-02-01")
    assert "lies before --from" in wrong.output
    store.close()


def test_a_wrong_action_is_listed_and_deleted(run: Run, settings: Settings) -> None:
    """A split that never was makes a jump of a close that stayed."""
    store = SQLiteStore(settings.database_path, write=True)
    following = MONDAY + timedelta(days=31)
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [10.0] * 40))
        writer.put_results([("500001", result(2024, 3, announced=MONDAY + timedelta(days=30)))])
        kinds = ("split", 2.0, "Stock Split"), ("rights", None, "Rights")
        writer.put_actions([("500001", CorporateAction(following, *kind)) for kind in kinds])
        refresh_derived(writer, circuit_pct=5.0)
    assert labels_of(store)[0].price_change_pct == 100.0
    assert run("actions", "list", "500001").output.splitlines() == [
        f"{following}  rights         -  Rights",
        f"{following}  split          2  Stock Split",
    ]
    arguments = ("actions", "delete", "500001", "--ex-date", str(following), "--kind", "split")
    assert run(*arguments).output == "1 corporate actions deleted.\n"
    assert labels_of(store)[0].price_change_pct == 0.0
    assert run("actions", "list", "500001").output.split()[1] == "rights"
    assert run(*arguments).output == "0 corporate actions deleted.\n"
    unknown = run("actions", "list", "999999")
    assert (unknown.exit_code, "Not in the database: 999999" in unknown.output) == (1, True)
    store.close()


def labels_of(store: SQLiteStore) -> tuple[CircuitLabel, ...]:
    history = store.history("500001")
    assert history is not None
    return history.labels


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        (("predict", "500325"), "Start it with `tezi up`"),
        (("publish",), "tezi train"),
        (("up",), "tezi import prices"),
        (("predict-all",), "tezi import prices"),
        (("maintain",), "tezi import prices"),
        (("maintain", "--only", "vacum"), "There is no task ['vacum']; there are: leftovers"),
        (("db", "analyze"), "tezi import prices"),
        (("db", "samples"), "tezi import prices"),
        (("delete-prices", "500001", "--from", "2024-02-01"), "tezi import prices"),
        (("features", "static"), "tezi import prices"),
        (("train",), "tezi demo"),
        (("export",), "make one with `tezi train`"),
        (("export", "--model", "no-such"), "There is no model 'no-such'"),
        (("activate", "2"), "tezi publish"),
        (("rollback",), "tezi publish"),
        (("traffic", "--off"), "tezi publish"),
        (("profile",), "tezi publish"),
        (("restart",), "start one with `tezi up`"),
    ],
)
def test_what_is_missing_is_named_with_the_command_for_it(
    run: Run, settings: Settings, command: tuple[str, ...], advice: str
) -> None:
    failed = run(*command)
    assert failed.exit_code == 1
    assert failed.output.startswith("tezi: ")
    assert failed.output.count("\n") == 1
    assert advice in failed.output
    assert not settings.home.exists()  # it may be mistyped


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device", "/data/x"), "disk is full (/data/x): make room"),
        (OSError(30, "Read-only file system", "/data/x"), "(/data/x). Check whose it is"),
        (PermissionError(13, "Permission denied"), "Permission denied. Check"),
        (OSError(5, "Input/output error"), "Input/output error."),
        (MemoryError(), "not enough memory"),
        (ZeroDivisionError("oh"), "ZeroDivisionError: oh. `tezi --debug ...`"),
    ],
    ids=repr,
)
def test_whatever_goes_wrong_is_one_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("gateway.cli.os.dup2", lambda *_: None)
    monkeypatch.setattr("gateway.cli.database.open_store", fail)
    failed = run("migrate")
    assert failed.exit_code == 1
    assert failed.output.startswith("tezi: ")
    assert words in failed.output
    assert failed.output.count("\n") == 1
    assert run("--debug", "migrate").exception is error


def test_output_that_cannot_be_written_is_one_sentence(settings: Settings) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [str(TEZI), "migrate"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (
        1,
        "tezi: The disk is full: make room and run the command again.\n",
    )


def test_a_file_of_a_header_alone_is_pointed_out(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("bse_code,date,open,high,low,close,volume\n")
    done = run("import", "prices", file)
    assert done.exit_code == 1
    assert "no file has a row that could be imported" in done.output


def test_an_import_of_nothing_makes_no_database(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    done = run("import", tmp_path / "empty")
    assert (done.exit_code, "There is no market database" in done.output) == (1, True)
    assert not settings.home.exists()


def test_up_looks_at_the_ports_before_it_makes_a_market(run: Run, settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.http_port)):
        failed = run("up", "--demo")
    assert failed.exit_code == 1
    assert f"Port {settings.http_port} on 127.0.0.1 is in use" in failed.output
    assert not settings.home.exists()


def test_up_without_a_model_says_what_to_do(run: Run, settings: Settings) -> None:
    store = SQLiteStore(settings.database_path, write=True)
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [10.0]))
    store.close()
    failed = run("up")
    assert failed.exit_code == 1
    assert "tezi publish" in failed.output


def test_demo_leaves_a_real_market_alone(run: Run, settings: Settings) -> None:
    store = SQLiteStore(settings.database_path, write=True)
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [10.0]))
    refused = run("demo")
    assert refused.exit_code == 1
    assert "There is a market" in refused.output
    assert store.bse_codes() == ["500001"]
    store.close()
