"""`tezi copy-db`: a market from one database into another."""

from contextlib import closing

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gateway.cli.progress import progress_bar
from preprocess.database_url import parse_database_url
from preprocess.errors import StoreError
from preprocess.settings import load_settings
from preprocess.store import open_database
from preprocess.store.copying import copy_market


@click.command("copy-db")
@click.argument("source_url", metavar="SOURCE")
@click.argument("target_url", metavar="TARGET")
@click.option("--replace", is_flag=True, help="Replace a market that the target holds already.")
def copy_db_command(source_url: str, target_url: str, replace: bool) -> None:
    """Copy a market from SOURCE to TARGET, either of them SQLite or PostgreSQL.

    It is one transaction of the target: there as a whole or not at all, also when it is killed.
    At its end the rows of every table are counted and compared by checksum. A password in a URL
    is seen by who lists processes: leave it out and set PGPASSWORD or a ~/.pgpass.

    \b
    tezi copy-db sqlite:///data/market.db postgresql://tezi@db.example/market
    tezi copy-db postgresql://tezi@db.example/market sqlite:///copy.db
    """
    settings = load_settings()
    source, target = (parse_database_url(url) for url in (source_url, target_url))
    if source == target:
        raise StoreError("Source and target are the same database.")
    with (
        closing(open_database(source, settings)) as read,
        closing(open_database(target, settings, write=True)) as write,
        progress_bar("Copying and comparing stocks") as advance,
    ):
        copied = copy_market(read, write, replace=replace, advance=advance)
    table = Table("table", "rows", "SHA-256, the same on both sides", box=SIMPLE_HEAD)
    for one in copied:
        table.add_row(one.table, f"{one.rows:,}", one.checksum[:32])
    Console().print(table)
    click.echo(f"{target} holds what {source} holds.")
