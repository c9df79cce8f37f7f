"""One thread for each library that would take more: the product computes with one."""

import os

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def one_thread() -> None:
    """For this process's children, and what they start."""
    for name in _VARIABLES:
        os.environ[name] = "1"
