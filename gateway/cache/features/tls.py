"""redis-py in a Python that cannot load TLS, as the stub of Triton's Python backend may be.

The stub has its own interpreter, and the `_ssl` of the machine's Python may not fit it. redis-py
works without, except for an annotation in its asyncio part that names a class of `ssl`.
"""

import importlib
import sys
from types import ModuleType

_CLASSES: dict[str, type] = {
    "SSLContext": object,
    "SSLError": OSError,
    "TLSVersion": object,
    "VerifyFlags": object,
    "VerifyMode": object,
}


def load_redis() -> None:
    """Import redis-py; without TLS, rediss:// addresses cannot be used."""
    try:
        importlib.import_module("ssl")
    except ImportError:
        importlib.import_module("asyncio")  # must not see the stand-in
        sys.modules["ssl"] = _stand_in()
        try:
            importlib.import_module("redis")
        finally:
            del sys.modules["ssl"]  # for other modules it stays absent


def _stand_in() -> ModuleType:
    module = ModuleType("ssl", "A stand-in: this Python has no TLS.")
    for name, base in _CLASSES.items():
        setattr(module, name, type(name, (base,), {}))
    return module
