"""The `tezi` command. Each subcommand lives in a module of its own, imported when it is called."""

import importlib
import sys
from typing import Any

import click

from preprocess.errors import TeziError

COMMANDS = {
    "activate": "gateway.cli.releases:activate_command",
    "db": "gateway.cli.db:db_group",
    "copy-db": "gateway.cli.copy_db:copy_db_command",
    "delete-prices": "gateway.cli.delete_prices:delete_prices_command",
    "demo": "gateway.cli.demo:demo_command",
    "export": "gateway.cli.training:export_command",
    "features": "gateway.cli.features:features_group",
    "import": "gateway.cli.imports:import_group",
    "maintain": "gateway.cli.maintain:maintain_command",
    "migrate": "gateway.cli.migrate:migrate_command",
    "models": "gateway.cli.releases:models_command",
    "predict": "gateway.cli.predict:predict_command",
    "predict-all": "gateway.cli.predict_all:predict_all_command",
    "profile": "gateway.cli.profile:profile_command",
    "publish": "gateway.cli.publish:publish_command",
    "restart": "gateway.cli.restart:restart_command",
    "rollback": "gateway.cli.releases:rollback_command",
    "serve-triton": "gateway.cli.serve_triton:serve_triton_command",
    "traffic": "gateway.cli.releases:traffic_command",
    "train": "gateway.cli.training:train_command",
    "up": "gateway.cli.up:up_command",
}


class LazyGroup(click.Group):
    """A group that imports a subcommand only when it is asked for: `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names of all subcommands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import and return one subcommand; None for a name that there is not."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; an error that a user can act on is printed, without a traceback."""
        try:
            return super().invoke(ctx)
        except TeziError as error:
            click.secho(f"tezi: {error}", fg="red", err=True)
            sys.exit(1)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=(
        "First steps: `tezi demo` makes a made-up market with a model, `tezi up` serves it, "
        "`tezi predict 900001` asks for a prediction. Settings are TEZI_* variables: see "
        "docs/settings.md."
    ),
)
@click.version_option(package_name="tezi")
def main() -> None:
    """Upper-circuit predictions for the Bombay Stock Exchange."""
    from preprocess.settings import unknown_variables  # noqa: PLC0415 - pydantic takes 0.2 s

    for name in unknown_variables():
        click.secho(f"tezi: {name} is no setting of Tezi; is it misspelt?", fg="yellow", err=True)
