"""`tezi activate`, `tezi rollback`, `tezi traffic` and `tezi models`: who answers what."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from preprocess.repository.labels import Labels, read_labels
from preprocess.repository.model_server import ModelServer
from preprocess.repository.releases import Releases
from preprocess.repository.serving import models_of
from preprocess.repository.versions import ModelVersion, read_versions
from preprocess.settings import Settings, load_settings

F = TypeVar("F", bound=Callable[..., Any])


def keep_option(command: F) -> F:
    """`--keep`, of commands after which old versions may be dropped."""
    return click.option(
        "--keep",
        type=click.IntRange(1, 1000),
        help="Newest versions to keep on the disk, besides those in use; default: "
        "TEZI_KEEP_VERSIONS.",
    )(command)


def releases(settings: Settings, keep: int | None = None) -> Releases:
    """The versions, with notices on the terminal."""
    return Releases(settings, keep=keep, notice=click.echo)


@click.command("activate")
@click.argument("version", type=click.IntRange(1))
@keep_option
def activate_command(version: int, keep: int | None) -> None:
    """Make VERSION the stable one: it answers everything that no candidate does.

    It is loaded and seen to answer before anybody is sent to it. The version that was stable stays
    loaded as the previous one, for `tezi rollback`.

    \b
    tezi activate 8
    """
    settings = load_settings()
    _show(asyncio.run(releases(settings, keep).activate(version)))


@click.command("rollback")
def rollback_command() -> None:
    """Make the version stable again that was so before. It takes one step and no load.

    \b
    tezi rollback
    """
    _show(asyncio.run(releases(load_settings()).roll_back()))


@click.command("traffic")
@click.option("--candidate", type=click.IntRange(1), help="The version to try.")
@click.option(
    "--share",
    type=click.FloatRange(0.0, 100.0, min_open=True),
    help="Percentage of the stocks that it answers.",
)
@click.option(
    "--shadow",
    is_flag=True,
    help="It computes beside the stable version, and its answers are only compared.",
)
@click.option("--off", is_flag=True, help="Give everything to the stable version again.")
def traffic_command(candidate: int | None, share: float | None, shadow: bool, off: bool) -> None:
    """Have a candidate answer a share of the stocks, or shadow it. Without options: say who does.

    A stock is always answered by the same version while the share stays the same. Where the
    candidate fails, the stable version answers.

    \b
    tezi traffic --candidate 8 --share 5
    tezi traffic --candidate 8 --share 20 --shadow
    tezi traffic --off
    """
    settings = load_settings()
    if off:
        if candidate is not None or share is not None or shadow:
            raise click.UsageError("--off takes no other option.")
        labels = asyncio.run(releases(settings).end_traffic())
    elif candidate is not None and share is not None:
        labels = asyncio.run(releases(settings).share_traffic(candidate, share, shadow=shadow))
    elif candidate is not None or share is not None or shadow:
        raise click.UsageError("--candidate and --share go together.")
    else:
        labels = read_labels(settings.versions_dir)
    _show(labels)


@click.command("models")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def models_command(as_json: bool) -> None:
    """List the published versions: their labels, what is loaded, how good they are.

    \b
    tezi models
    tezi models --json
    """
    settings = load_settings()
    labels = read_labels(settings.versions_dir)
    versions = read_versions(settings.versions_dir)
    loaded = asyncio.run(_loaded(settings))
    if as_json:
        rows = [_document(settings, version, labels, loaded) for version in versions]
        document = {"labels": msgspec.to_builtins(labels), "versions": rows}
        click.echo(json.dumps(document, indent=2))
        return
    if not versions:
        click.echo("No version is published: `tezi publish` makes the first.")
        return
    table = Table(box=SIMPLE_HEAD)
    for column in ("version", "labels", "loaded", "variants", "model", "published", "ROC-AUC"):
        table.add_column(column)
    for version in versions:
        row = _document(settings, version, labels, loaded)
        table.add_row(
            str(version.model_version),
            ", ".join(row["labels"]),
            {True: "yes", False: "no", None: "?"}[row["loaded"]],
            ", ".join(version.variants),
            version.model_id,
            version.published_at,
            f"{version.metrics.get('roc_auc', float('nan')):.3f}",
        )
    Console(width=None if Console().is_terminal else 160).print(table)
    _show(labels)
    if loaded is None:
        click.echo("Triton is not running.")


async def _loaded(settings: Settings) -> frozenset[str] | None:
    async with ModelServer(settings.triton_grpc_address) as server:
        return await server.loaded() if await server.is_live() else None


def _document(
    settings: Settings, version: ModelVersion, labels: Labels, loaded: frozenset[str] | None
) -> dict[str, Any]:
    return {
        "model_version": version.model_version,
        "labels": labels.of(version.model_version),
        "loaded": None if loaded is None else loaded.issuperset(models_of(settings, version)),
        "model_id": version.model_id,
        "family": version.family,
        "published_at": version.published_at,
        "threshold": version.threshold,
        "metrics": version.metrics,
        "variants": msgspec.to_builtins(version.variants),
    }


def _show(labels: Labels) -> None:
    """Who answers what, in a line or two."""
    if labels.stable is None:
        click.echo("No version is stable.")
        return
    click.echo(f"Stable: version {labels.stable}; previous: {labels.previous or 'none'}.")
    if labels.candidate is not None:
        does = "shadows" if labels.shadow else "answers"
        click.echo(f"Candidate: version {labels.candidate} {does} {labels.share:g} % of stocks.")
