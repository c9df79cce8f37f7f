"""`tezi features`: what is computed or laid out ahead of time."""

import re

import click

from preprocess.calendar import months_between
from preprocess.derive import stamp_months
from preprocess.errors import FeatureError
from preprocess.settings import Settings, load_settings
from preprocess.snapshot.refresh import Refreshed, refresh_snapshot, verify_snapshot
from preprocess.store import Store, open_store

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
    show_refreshed(refresh_after_writing(load_settings()))


@features_group.command("refresh")
@click.option("--full", is_flag=True, help="Make the snapshot anew instead of from the change log.")
@click.option("--check", is_flag=True, help="Only compare it with the database; write nothing.")
def refresh_command(full: bool, check: bool) -> None:
    """Bring the columnar snapshot to the newest commit.

    Whoever needs many stocks maps it into memory instead of reading the database. Imports refresh
    it by themselves; without it, or with an old one, the database is read.

    \b
    tezi features refresh
    tezi features refresh --check
    """
    settings = load_settings()
    store = open_store(settings)
    try:
        if check:
            _check(store, settings)
        else:
            show_refreshed(refresh_snapshot(store, settings.snapshot_path, full=full))
    finally:
        store.close()


def refresh_after_writing(settings: Settings) -> Refreshed:
    """Bring the snapshot up to a commit that this process has made.

    Raises:
        SnapshotError: it cannot be written; what was committed stays.
    """
    store = open_store(settings)
    try:
        return refresh_snapshot(store, settings.snapshot_path)
    finally:
        store.close()


def show_refreshed(refreshed: Refreshed) -> None:
    """Say in a line what a refresh did."""
    if refreshed.written:
        click.echo(
            f"Snapshot: {refreshed.changed:,} of {refreshed.stocks:,} stocks taken from the "
            f"database, {refreshed.written / 1e6:,.1f} MB, in {refreshed.seconds:.2f} s."
        )
    else:
        click.echo(f"Snapshot: {refreshed.stocks:,} stocks, up to date.")


def _check(store: Store, settings: Settings) -> None:
    wrong = verify_snapshot(store, settings.snapshot_path)
    if wrong is not None:
        raise FeatureError(f"{wrong} Run `tezi features refresh --full`.")
    click.echo("The snapshot holds what the database holds.")
