"""`tezi delete-prices`: take wrong bars out again."""

from datetime import date, datetime

import click

from preprocess.errors import StoreError
from preprocess.features.derive import refresh_derived
from preprocess.settings import load_settings
from preprocess.store import open_store


@click.command("delete-prices")
@click.argument("bse_codes", nargs=-1, required=True, metavar="CODE...")
@click.option(
    "--from", "first", type=click.DateTime(["%Y-%m-%d"]), required=True, help="First day to go."
)
@click.option(
    "--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Last day to go; default: the first."
)
def delete_prices_command(
    bse_codes: tuple[str, ...], first: datetime, last: datetime | None
) -> None:
    """Take a stock's bars of some days out of the database.

    For bars that never should have been imported; a bar that is merely wrong is corrected by
    importing the right one. Labels and stamps that rested on them are made anew, and whoever
    answers from memory takes note.

    \b
    tezi delete-prices 500325 --from 2026-08-14
    tezi delete-prices 500325 532540 --from 2026-08-10 --to 2026-08-14
    """
    settings = load_settings()
    days: tuple[date, date] = first.date(), (last or first).date()
    if days[1] < days[0]:
        raise click.BadParameter(f"it lies before --from {days[0]}", param_hint="--to")
    open_store(settings).close()  # says so where there is no database, and makes none
    store = open_store(settings, write=True)
    try:
        unknown = sorted(set(bse_codes) - set(store.bse_codes()))
        if unknown:
            raise StoreError(f"Not in the database: {', '.join(unknown)}. Nothing was taken out.")
        with store.transaction() as writer:
            gone = sum(writer.delete_prices(code, *days) for code in dict.fromkeys(bse_codes))
            if gone:
                refresh_derived(writer, circuit_pct=settings.circuit_pct)
    finally:
        store.close()
    click.echo(f"{gone:,} bars taken out.")
