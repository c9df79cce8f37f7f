"""`tezi demo`: a made-up market, and a model trained on it, for trying everything out."""

from contextlib import closing
from datetime import UTC, datetime
from functools import partial

import click

from gateway.cli.progress import progress_bar
from gateway.cli.releases import publish_command
from gateway.cli.training import export_command, train_command
from preprocess.demo.market import build_demo_market
from preprocess.errors import StoreError
from preprocess.features.derive import refresh_derived
from preprocess.market.calendar import exchange_today
from preprocess.repository.versions import version_numbers
from preprocess.settings import Settings, load_settings
from preprocess.store import Store, open_store


@click.command("demo")
@click.option("--if-missing", is_flag=True, help="Do only what is missing.")
@click.option("--seed", default=20260814, show_default=True, help="Seed of the made-up market.")
@click.option("--stocks", default=500, show_default=True, help="Number of stocks.")
@click.option("--days", default=500, show_default=True, help="Number of trading days.")
@click.pass_context
def demo_command(ctx: click.Context, if_missing: bool, seed: int, stocks: int, days: int) -> None:
    """Create a demo market, then train, export and publish a model on it.

    Nothing in it is real: names, prices, results and the signal in them are made up. With
    --if-missing an existing market or published model stays as it is.

    \b
    tezi demo
    tezi demo --if-missing
    """
    settings = load_settings()
    with closing(open_store(settings, write=True)) as store:
        # A killed run leaves an empty database, which is filled now.
        filled = store.span().price_rows > 0
        if filled and not if_missing:
            raise StoreError(
                f"There is a market at {settings.database} already. The demo market needs "
                "one of its own: set TEZI_DATA_DIR or TEZI_DATABASE_URL, or move this one away."
            )
        if not filled:
            _create_market(store, settings, seed, stocks, days)
    if not version_numbers(settings.versions_dir):
        ctx.invoke(train_command)
        ctx.invoke(export_command)
        ctx.invoke(publish_command)


def _create_market(store: Store, settings: Settings, seed: int, stocks: int, days: int) -> None:
    with progress_bar("Demo market") as advance:
        span = build_demo_market(
            store,
            seed=seed,
            stocks=stocks,
            trading_days=days,
            last_day=exchange_today(datetime.now(UTC)),
            progress=advance,
            derive=partial(refresh_derived, circuit_pct=settings.circuit_pct),
        )
    click.echo(
        f"Demo market (made up, seed {seed}): {span.stocks} stocks, {span.price_rows} prices "
        f"from {span.first_day} to {span.last_day}."
    )
