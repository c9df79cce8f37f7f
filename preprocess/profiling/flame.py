"""Flame graphs as one SVG file that needs nothing else: no script, no font, no address outside."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from preprocess.profiling.frames import Frame

_WIDTH = 1200
_ROW = 17
_MARGIN = 12
_HEADING = 26
_LETTER = 6.2  # of 11 px sans-serif, about
_NARROWEST = 0.6
_DEEPEST = 60

_STYLE = (
    "text{font:11px sans-serif;fill:#222}"
    ".h{font-weight:bold;font-size:13px}"
    "rect{stroke:#fff;stroke-width:.5}"
    "g:hover>rect{stroke:#000}"
    ".t{pointer-events:none}"
)


@dataclass(frozen=True, slots=True)
class Panel:
    """One flame graph: a heading, and a tree whose root is as wide as the panel."""

    heading: str
    root: Frame


@dataclass(frozen=True, slots=True)
class _Box:
    frame: Frame
    depth: int
    x: float
    width: float


def flame_graph(title: str, panels: Sequence[Panel]) -> str:
    """The panels below one another; each function is as wide as the time in it.

    Whoever points at a box reads its name, its place, its ms and its share of the panel.
    """
    y = _MARGIN + _HEADING
    body: list[str] = []
    for panel in panels:
        boxes = list(_boxes(panel.root, 0, float(_MARGIN), _WIDTH - 2.0 * _MARGIN))
        body.append(f'<text class="h" x="{_MARGIN}" y="{y + 14}">{escape(panel.heading)}</text>')
        y += _HEADING
        body += [_drawn(box, panel.root.ms, y) for box in boxes]
        y += (1 + max(box.depth for box in boxes)) * _ROW + _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y}" '
        f'viewBox="0 0 {_WIDTH} {y}"><title>{escape(title)}</title><style>{_STYLE}</style>'
        '<rect width="100%" height="100%" fill="#fff"/>'
        f'<text class="h" x="{_MARGIN}" y="{_MARGIN + 12}">{escape(title)}</text>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def _boxes(frame: Frame, depth: int, x: float, width: float) -> Iterator[_Box]:
    yield _Box(frame, depth, x, width)
    if frame.ms <= 0 or depth >= _DEEPEST:
        return
    for child in sorted(frame.children, key=lambda child: -child.ms):
        share = width * child.ms / frame.ms
        if share >= _NARROWEST:
            yield from _boxes(child, depth + 1, x, share)
        x += max(share, 0.0)


def _drawn(box: _Box, whole_ms: float, top: float) -> str:
    frame = box.frame
    share = frame.ms / whole_ms if whole_ms > 0 else 0.0
    about = f"{frame.name} {frame.place}".strip() + f": {frame.ms:.4f} ms, {share:.1%}"
    x, y = f"{box.x:.1f}", top + box.depth * _ROW
    letters = int((box.width - 4) / _LETTER)
    shown = frame.name if len(frame.name) <= letters else f"{frame.name[: letters - 1]}…"
    text = (
        f'<text class="t" x="{box.x + 3:.1f}" y="{y + 12}">{escape(shown)}</text>'
        if letters >= 3
        else ""
    )
    return (
        f"<g><title>{escape(about)}</title>"
        f'<rect x="{x}" y="{y}" width="{box.width:.1f}" height="{_ROW - 1}" '
        f'fill="{_colour(frame)}"/>{text}</g>'
    )


def _colour(frame: Frame) -> str:
    """The same for all functions of a file."""
    key = zlib.crc32(frame.place.rsplit(":", 1)[0].encode() or frame.name.encode())
    return f"hsl({key % 55},{65 + key // 55 % 20}%,{66 + key // 1100 % 14}%)"
