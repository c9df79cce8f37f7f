"""Structured logs: one line per event, with the id of the request it belongs to."""

import json
import logging
import sys
from contextvars import ContextVar
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")


def configure_logs(level: str, style: Literal["json", "text"]) -> None:
    """Write all records, those of other libraries included, to standard output in one format."""
    shared: list[Processor] = [
        _with_request_id,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers: list[Processor] = (
        [
            structlog.processors.format_exc_info,
            # escapes everything but ASCII, so that a path of any bytes can be logged
            structlog.processors.JSONRenderer(serializer=json.dumps),
        ]
        if style == "json"
        else [
            _printable,
            structlog.dev.ConsoleRenderer(
                colors=sys.stdout.isatty(),
                # with rich installed the default shows local variables, passwords among them
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ]
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logging.raiseExceptions = False  # a full disk must not fill the terminal with traces
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for library in ("uvicorn", "asyncio"):  # they log their own start and stop; ours is enough
        logging.getLogger(library).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _with_request_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    request_id = REQUEST_ID.get()
    if request_id:
        event["request_id"] = request_id
    return event


def _printable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape what a terminal would obey: paths and headers are chosen by strangers."""
    return {
        key: repr(value)[1:-1] if isinstance(value, str) and not value.isprintable() else value
        for key, value in event.items()
    }
