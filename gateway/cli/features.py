"""`tezi features`: what is computed or laid out ahead of time."""

import re

import click

from preprocess.errors import FeatureError
from preprocess.features.derive import stamp_months
from preprocess.market.calendar import months_between
from preprocess.settings import load_settings
from preprocess.store import open_store

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


@click.group("features")
def features_group() -> None:
    """Compute ahead of time what answers only look up."""


@features_group.command("static")
@click.option(
    "--month", metavar="YYYY-MM", help="One month only; default: every month with prices."
)
def static_command(month: str | None) -> None:
    """Stamp sectors and market-cap tiers, by month.

    Imports do this for the months that they affect; this does it anew.

    \b
    tezi features static
    tezi features static --month 2026-08
    """
    if month is not None and not _MONTH.fullmatch(month):
        raise FeatureError(f"--month takes a month like 2026-08, not {month!r}.")
    store = open_store(load_settings(), write=True)
    try:
        with store.transaction() as writer:
            days = writer.price_days()
            if days is None:
                raise FeatureError("There are no prices yet; run `tezi import prices` first.")
            months = [month] if month else months_between(*days)
            stamp_months(writer, months)
            changed = len(writer.touched)
    finally:
        store.close()
    click.echo(f"Stamped {len(months)} month(s); {changed} stock(s) changed.")
