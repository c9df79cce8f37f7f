"""The `tezi` command. A subcommand's module is imported only when the subcommand is called."""

import importlib
import sys
from typing import Any

import click

from preprocess.errors import TeziError

COMMANDS = {
    "admin-token": "admin:admin_token_command",
    "activate": "releases:activate_command",
    "copy-db": "database:copy_db_command",
    "db": "database:db_group",
    "delete-prices": "market:delete_prices_command",
    "demo": "demo:demo_command",
    "export": "training:export_command",
    "features": "market:features_group",
    "import": "market:import_group",
    "maintain": "database:maintain_command",
    "migrate": "database:migrate_command",
    "models": "releases:models_command",
    "predict": "predict:predict_command",
    "predict-all": "predict:predict_all_command",
    "profile": "profile:profile_command",
    "publish": "releases:publish_command",
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
        """Run the subcommand; an error that a user can act on is printed without a traceback."""
        try:
            return super().invoke(ctx)
        except TeziError as error:
            click.secho(f"tezi: {error}", fg="red", err=True)
            sys.exit(1)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=(
        "First steps: `tezi demo` creates a made-up market with a model, `tezi up` serves it, "
        "`tezi predict 900001` requests a prediction. Settings are TEZI_* variables: see "
        "docs/settings.md."
    ),
)
@click.version_option(package_name="tezi")
def main() -> None:
    """Upper-circuit predictions for the Bombay Stock Exchange."""
    from preprocess.settings import unknown_variables  # noqa: PLC0415 - pydantic takes 0.2 s

    for name in unknown_variables():
        click.secho(
            f"tezi: {name} is not a setting of Tezi; is it misspelt?", fg="yellow", err=True
        )
