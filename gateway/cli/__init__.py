"""The `tezi` command. A subcommand's module is imported only when the subcommand is called."""

import errno
import importlib
import os
import sys
from typing import Any

import click

from preprocess.errors import TeziError

COMMANDS = {
    "actions": "market:actions_group",
    "activate": "releases:activate_command",
    "admin-token": "admin:admin_token_command",
    "copy-db": "database:copy_db_command",
    "db": "database:db_group",
    "delete-prices": "market:delete_prices_command",
    "demo": "demo:demo_command",
    "evening": "evening:evening_command",
    "export": "training:export_command",
    "features": "market:features_group",
    "import": "market:import_command",
    "maintain": "database:maintain_command",
    "migrate": "database:migrate_command",
    "models": "releases:models_command",
    "predict": "predict:predict_command",
    "predict-all": "predict:predict_all_command",
    "profile": "profile:profile_command",
    "publish": "releases:publish_command",
    "report": "report:report_group",
    "restart": "stack:restart_command",
    "rollback": "releases:rollback_command",
    "serve-triton": "stack:serve_triton_command",
    "traffic": "releases:traffic_command",
    "train": "training:train_command",
    "up": "stack:up_command",
}


class LazyGroup(click.Group):
    """A group that imports a subcommand only when it is called, so that `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names of all subcommands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import and return one subcommand; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(f"gateway.cli.{module}"), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; an error is one line, with a traceback only after `--debug`."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            if ctx.params["debug"] or isinstance(error, BrokenPipeError):  # click ends quietly
                raise
            click.secho(f"tezi: {_in_words(error)}", fg="red", err=True)
            if isinstance(error, OSError):
                # What standard output still holds would fail once more, with a traceback.
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.exit(1)


def _in_words(error: Exception) -> str:
    """What happened, and what to do about it."""
    match error:
        case TeziError():
            return str(error)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return f"The disk is full{_where(error)}: make room and run the command again."
        case OSError(errno=errno.EACCES | errno.EPERM | errno.EROFS):
            return (
                f"{error.strerror}{_where(error)}. Check whose it is and whether it can be "
                "written, or choose another folder with TEZI_DATA_DIR."
            )
        case OSError():
            return f"{error.strerror or error}{_where(error)}."
        case MemoryError():
            return "There is not enough memory for this."
        case _:
            return (
                f"This is a fault of Tezi: {type(error).__name__}: {error}. "
                "`tezi --debug ...` shows where it happened."
            )


def _where(error: OSError) -> str:
    return f" ({error.filename})" if error.filename else ""


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=(
        "First steps: `tezi demo` creates a made-up market with a model, `tezi up` serves it, "
        "`tezi predict 900001` requests a prediction. Settings are TEZI_* variables: see "
        "docs/settings.md."
    ),
)
@click.option("--debug", is_flag=True, help="Show where in the code an error happened.")
@click.version_option(package_name="tezi")
def main(debug: bool) -> None:  # noqa: ARG001 - read where errors are shown
    """Upper-circuit predictions for the Bombay Stock Exchange."""
    from preprocess.settings import unknown_variables  # noqa: PLC0415 - pydantic takes 0.2 s

    for name in unknown_variables():
        click.secho(
            f"tezi: {name} is not a setting of Tezi; is it misspelt?", fg="yellow", err=True
        )
