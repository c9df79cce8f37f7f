"""A campaign as plots, each a PNG in bytes."""

import io
from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests.performance.load_test.campaign import Campaign, Ran
from tests.performance.load_test.seconds import Seconds

_SIZE = (9.0, 3.4)
_RATE, _JUDGED = "#9aa3ad", "#1c2733"


def plots(campaign: Campaign) -> Iterator[tuple[str, bytes]]:
    """Titles and pictures: each scenario over time, histograms, CPU, memory, network, hit rate."""
    for ran in campaign.ran:
        yield f"{ran.scenario.name}: latency over time", _over_time(ran)
    yield "Latencies", _histogram(campaign)
    yield "CPU by component, cores", _cpu(campaign)
    yield "Memory by component, MB", _memory(campaign)
    yield "Network, MB a second over all interfaces", _network(campaign)
    yield "Hit rate of the caches", _hit_rate(campaign)


def _over_time(ran: Ran) -> bytes:
    seconds = Seconds.of(ran.outcome)
    figure, axes = _new("second", "ms (logarithmic)")
    for name in ("worst", "p99", "p95", "p50"):
        axes.plot(seconds.second, getattr(seconds, name), label=name, linewidth=1.1)
    failed = seconds.failures > 0
    axes.plot(seconds.second[failed], seconds.worst[failed], "rx", label="failures")
    axes.set_yscale("log")
    rates = axes.twinx()
    rates.fill_between(seconds.second, seconds.requests, color=_RATE, alpha=0.25, step="post")
    rates.set_ylabel("requests due in the second")
    rates.set_ylim(bottom=0.0)
    axes.legend(loc="upper left", ncols=5, fontsize=8)
    return _png(figure)


def _histogram(campaign: Campaign) -> bytes:
    figure, axes = _new("ms (logarithmic)", "share of requests")
    latencies = [ran.outcome.latency_ms for ran in campaign.ran]
    least = max(0.01, min(float(part.min()) for part in latencies))
    most = max(float(part.max()) for part in latencies)
    bins = np.geomspace(least, max(most, least * 2) * 1.01, 80).tolist()
    for ran, part in zip(campaign.ran, latencies, strict=True):
        weights = np.full(len(part), 1.0 / len(part))
        axes.hist(part, bins=bins, weights=weights, histtype="step", label=ran.scenario.name)
    axes.set_xscale("log")
    axes.legend(fontsize=8)
    return _png(figure)


def _cpu(campaign: Campaign) -> bytes:
    figure, axes = _new("second", "cores")
    begin = _shade(campaign, axes)
    for component in campaign.samples.components:
        at, used = campaign.samples.cpu_share(component)
        axes.plot(at - begin, used, label=component, linewidth=1.0)
    axes.legend(loc="upper left", ncols=6, fontsize=8)
    return _png(figure)


def _memory(campaign: Campaign) -> bytes:
    figure, axes = _new("second", "MB")
    begin = _shade(campaign, axes)
    at = campaign.samples.moments() - begin
    for component in campaign.samples.components:
        axes.plot(at, campaign.samples.memory_mb(component), label=component, linewidth=1.0)
    judged = np.array([campaign.judged.begin, campaign.judged.end]) - begin
    axes.plot(judged, [0.0, 0.0], color=_JUDGED, linewidth=4.0, label="judged")
    axes.legend(loc="upper left", ncols=7, fontsize=8)
    axes.set_ylim(bottom=0.0)
    return _png(figure)


def _network(campaign: Campaign) -> bytes:
    figure, axes = _new("second", "MB/s")
    begin = _shade(campaign, axes)
    at, rate = campaign.samples.network_mb_s()
    axes.plot(at - begin, rate, linewidth=1.0)
    return _png(figure)


def _hit_rate(campaign: Campaign) -> bytes:
    figure, axes = _new("second", "share of hits")
    begin = _shade(campaign, axes)
    for kind in campaign.caches.by_kind:
        at, rates = campaign.caches.rates(kind)
        if len(at):
            axes.plot(at - begin, rates, label=kind, linewidth=1.0)
    axes.set_ylim(0.0, 1.02)
    axes.legend(loc="lower right", fontsize=8)
    return _png(figure)


def _new(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, alpha=0.3)
    return figure, axes


def _shade(campaign: Campaign, axes: Axes) -> float:
    """Show which part was when; the moment that the axis counts from."""
    begin = campaign.idle.begin
    for number, phase in enumerate(campaign.phases):
        axes.axvspan(
            phase.begin - begin, phase.end - begin, color=_RATE, alpha=(0.10, 0.22)[number % 2]
        )
        axes.text(
            (phase.begin + phase.end) / 2 - begin,
            1.01,
            phase.name,
            transform=axes.get_xaxis_transform(),
            ha="center",
            fontsize=7,
        )
    return begin


def _png(figure: Figure) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=90)
    return target.getvalue()
