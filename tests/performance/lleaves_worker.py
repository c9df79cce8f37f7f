"""lleaves in a process of its own: it needs an older llvmlite than numba, which is in the parent.

`python -m tests.performance.lleaves_worker inlined|not-inlined MODEL.txt COMPILED [ROWS.npy]`,
with lleaves's folder first on PYTHONPATH. Without rows it compiles the model and ends. With rows it
reads a pickled list of slices from standard input again and again, and writes the pickled Times of
predicting each.
"""

import os
import pickle
import sys
from importlib import import_module

import numpy as np

from tests.performance.measure import timed_calls


def main() -> None:
    """See the module."""
    form, model_file, compiled, *rows_file = sys.argv[1:]
    # What the compiler prints must not get between the pickles.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    model = import_module("lleaves").Model(model_file=model_file)
    model.compile(cache=compiled, finline=form == "inlined")
    if not rows_file:
        return
    # lleaves takes float64: the conversion is left out, in its favour.
    rows = np.load(rows_file[0]).astype(np.float64)
    while True:
        try:
            parts = pickle.load(sys.stdin.buffer)  # from our own parent
        except EOFError:
            return
        times = timed_calls(lambda x: model.predict(x, n_jobs=1), rows, parts)
        pickle.dump(times, answers)
        answers.flush()


if __name__ == "__main__":
    main()
