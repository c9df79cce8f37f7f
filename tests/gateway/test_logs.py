"""One form for every log line, with the id of the request that it belongs to."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout

import pytest
import structlog

from gateway.logs import REQUEST_ID, configure_logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Give pytest its own handlers back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = True
    structlog.reset_defaults()


def lines(style: str, level: str = "info") -> list[str]:
    output = io.StringIO()
    with redirect_stdout(output):
        configure_logs(level, style)  # type: ignore[arg-type]  # the test's own two words
        log = structlog.get_logger()
        log.debug("too little")
        REQUEST_ID.set("abc-1")
        log.info("ours", path="/\udcff", count=3)
        logging.getLogger("theirs").warning("of %s", "another library")
        logging.getLogger("uvicorn.error").info("about itself")
        log.info("a path", path="/\x1b]0;x\x07\x9b2J", reason="ü")
        password = "12345"
        try:
            _ = len(password) / len("")
        except ZeroDivisionError:
            log.exception("it failed")
    return output.getvalue().splitlines()


def test_json_lines() -> None:
    ours, theirs, _, failed = map(json.loads, lines("json"))
    assert ours["event"] == "ours"
    assert (ours["level"], ours["count"], ours["request_id"]) == ("info", 3, "abc-1")
    assert ours["path"] == "/\udcff"
    assert ours["timestamp"].endswith("Z")
    assert (theirs["event"], theirs["level"]) == ("of another library", "warning")
    assert theirs["request_id"] == "abc-1"
    assert "ZeroDivisionError: " in failed["exception"]


def test_text_lines() -> None:
    found = "\n".join(lines("text"))
    assert "ours" in found
    assert "abc-1" in found
    assert "ZeroDivisionError" in found
    assert "too little" not in found
    assert r"/\x1b]0;x\x07\x9b2J" in found
    assert "ü" in found
    assert "\x1b]" not in found
    assert "12345" not in found


def test_debug_lines_are_there_when_asked_for() -> None:
    assert json.loads(lines("json", "debug")[0])["event"] == "too little"


def test_nothing_is_configured_on_import() -> None:
    assert "gateway.logs" in sys.modules
    assert not structlog.is_configured()
