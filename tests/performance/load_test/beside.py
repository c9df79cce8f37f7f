"""Something that is looked at in a thread while a block runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def beside(look: Callable[[threading.Event], None], name: str) -> Iterator[None]:
    """Run `look(over)` in a thread until the block ends; it returns once `over` is set."""
    over = threading.Event()
    thread = threading.Thread(target=look, args=(over,), name=name)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
