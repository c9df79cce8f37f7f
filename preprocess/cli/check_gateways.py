"""`tezi check-gateways`: beside an nginx that `tezi up` does not run."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import click

from preprocess.errors import ServerError
from preprocess.runtime.nginx import reload_gently
from preprocess.runtime.upstream_check import UpstreamCheck


@click.command("check-gateways")
@click.argument("upstream", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--prefix",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder that nginx was started with as -p; nginx.pid lies in it.",
)
@click.option("--every", default=10.0, show_default=True, help="Seconds between two looks.")
@click.option("--once", is_flag=True, help="Look once, and end.")
def check_gateways_command(upstream: Path, prefix: Path, every: float, once: bool) -> None:
    """Ask each gateway that UPSTREAM names for /ready, and lead nginx round those that refuse.

    A gateway that is not ready twice in a row while another is gets marked as `down`, and nginx
    reads its configuration anew. `tezi up` needs none of this: it replaces such a gateway.

    \b
    tezi check-gateways /etc/tezi/nginx/upstream.conf --prefix /run/tezi-nginx
    """
    check = UpstreamCheck(upstream, lambda: reload_gently(prefix, lambda: tell_nginx(prefix)))
    with suppress(KeyboardInterrupt):
        asyncio.run(_watch(check, every=every, once=once))


async def _watch(check: UpstreamCheck, *, every: float, once: bool) -> None:
    before: dict[str, bool] = {}
    while True:
        asked = await check.look()
        if asked != before:
            for address, yes in asked.items():
                click.echo(f"{address} {'is asked' if yes else 'is left out: it is not ready'}")
        before = asked
        if once:
            return
        await asyncio.sleep(every)


def tell_nginx(prefix: Path) -> None:
    """Make the nginx whose prefix this is read its configuration anew.

    Raises:
        ServerError: there is none.
    """
    place = prefix / "nginx.pid"
    try:
        os.kill(int(place.read_text("utf-8")), signal.SIGHUP)
    except (OSError, ValueError) as error:
        raise ServerError(f"nginx cannot be told by {place}: {error}.") from None
