"""The signals that ask a command to stop."""

import asyncio
import signal


def stop_signal() -> asyncio.Event:
    """An event that SIGINT or SIGTERM sets, in the running loop."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    return event
