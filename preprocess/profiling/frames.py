"""A tree of functions with the time spent in each, as a sampling profiler sees it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

_OWN = "[self]"
_NAMELESS = ("<built-in>", "")
_EVENT_LOOP = "asyncio/runners.py"


@dataclass(frozen=True, slots=True)
class Frame:
    """A function, the ms spent in it and below it, and what it called. `place` is file:line."""

    name: str
    place: str
    ms: float
    children: tuple["Frame", ...] = ()

    @property
    def own_ms(self) -> float:
        """The time that it spent in none of the functions that it called."""
        return self.ms - sum(child.ms for child in self.children)

    def walk(self) -> Iterator["Frame"]:
        """This frame and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Hot:
    """A function and its own time, wherever it was called from."""

    name: str
    place: str
    ms: float


def read_frame(document: Mapping[str, Any], requests: int) -> Frame:
    """A frame of pyinstrument's JSON, as ms of one of `requests` requests.

    Own time, which it writes as a child called [self], is what remains here.
    """
    place = document["file_path_short"] or ""
    if place not in _NAMELESS and document["line_no"]:
        place = f"{place}:{document['line_no']}"
    return Frame(
        name=document["function"],
        place=place,
        ms=document["time"] / requests * 1e3,
        children=tuple(
            read_frame(child, requests)
            for child in document["children"]
            if child["function"] != _OWN
        ),
    )


def busy(root: Frame) -> Frame:
    """The tree without the own time of the event loop: waiting is most of it.

    What the loop does in C itself, reading and writing sockets, goes with it.
    """
    children = tuple(busy(child) for child in root.children)
    own = 0.0 if root.place.startswith(_EVENT_LOOP) and root.name == "run" else root.own_ms
    return replace(root, ms=own + sum(child.ms for child in children), children=children)


def hottest(root: Frame, count: int) -> list[Hot]:
    """The `count` functions with the most own time, dearest first."""
    own: dict[tuple[str, str], float] = {}
    for frame in root.walk():
        key = (frame.name, frame.place)
        own[key] = own.get(key, 0.0) + frame.own_ms
    dearest = sorted(own.items(), key=lambda item: -item[1])[:count]
    return [Hot(name, place, ms) for (name, place), ms in dearest]
