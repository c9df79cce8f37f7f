"""`tezi migrate`: bring the database to the newest schema."""

import click

from preprocess.settings import load_settings
from preprocess.store import open_store


@click.command("migrate")
def migrate_command() -> None:
    """Bring the market database to this version's schema. Doing it again changes nothing.

    Commands that write to the database do it by themselves.
    """
    settings = load_settings()
    open_store(settings, write=True).close()
    click.echo(f"{settings.database} has the newest schema.")
