"""Structured logs: one line an event, each with the id of the request that it belongs to."""

import json
import logging
import logging.config
import sys
from contextvars import ContextVar
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")


def configure_logs(level: str, style: Literal["json", "text"]) -> None:
    """Send everything, other libraries' records too, to standard output in one form."""
    shared: list[Processor] = [
        _with_request_id,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers: list[Processor] = (
        [
            structlog.processors.format_exc_info,
            # not ASCII is escaped, so that a path of any bytes can be logged
            structlog.processors.JSONRenderer(serializer=json.dumps),
        ]
        if style == "json"
        else [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        *renderers,
                    ],
                }
            },
            "handlers": {
                "output": {
                    "class": "logging.StreamHandler",
                    "stream": "ext://sys.stdout",
                    "formatter": "structured",
                }
            },
            "root": {"handlers": ["output"], "level": level.upper()},
            # uvicorn's own words are about itself; what a reader needs, we log
            "loggers": {
                "uvicorn": {"level": "WARNING"},
                "asyncio": {"level": "WARNING"},
            },
        }
    )
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
