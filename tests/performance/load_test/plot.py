"""A campaign as one picture: latency, CPU and memory over time."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests.performance.load_test.campaign import Campaign
from tests.performance.load_test.judgement import Seconds


def plot(campaign: Campaign, path: Path) -> None:
    """Write it as PNG."""
    figure = Figure(figsize=(11.0, 9.0), layout="constrained")
    FigureCanvasAgg(figure)
    latency, cpu, memory = figure.subplots(3, sharex=True)
    begin = campaign.idle.begin
    for number, ran in enumerate(campaign.ran):
        seconds = Seconds.of(ran.outcome)
        at = ran.outcome.began - begin + seconds.second
        for name, colour in (("p99", "#c0392b"), ("p95", "#e08e45"), ("p50", "#1769aa")):
            values = getattr(seconds, name)
            latency.plot(at, values, color=colour, linewidth=1.0, label="" if number else name)
        failed = seconds.failures > 0
        latency.plot(at[failed], seconds.p99[failed], "rx", label="" if number else "failures")
    samples = campaign.samples
    moments = samples.moments - begin
    for component in samples.names:
        used = samples.cpu_s(component)
        cores = (used[1:] - used[:-1]) / (moments[1:] - moments[:-1])
        cpu.plot(moments[1:], cores, linewidth=1.0, label=component)
        memory.plot(moments, samples.memory_mb(component), linewidth=1.0, label=component)
    latency.set_yscale("log")
    memory.set_ylim(bottom=0.0)
    memory.set_xlabel("seconds")
    for axes, label in ((latency, "ms, by second"), (cpu, "cores"), (memory, "MB")):
        axes.set_ylabel(label)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(loc="upper left", ncols=6, fontsize=8)
        for number, phase in enumerate(campaign.phases):
            shade = (0.10, 0.22)[number % 2]
            axes.axvspan(phase.begin - begin, phase.end - begin, color="#9aa3ad", alpha=shade)
    for phase in campaign.phases:
        middle = (phase.begin + phase.end) / 2 - begin
        latency.text(
            middle, 1.01, phase.name, transform=latency.get_xaxis_transform(), ha="center", size=7
        )
    figure.savefig(path, dpi=100)
