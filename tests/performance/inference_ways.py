"""The ways in which a forest answers, each in a process of its own on one thread (see measure)."""

import pickle
from pathlib import Path

import numpy as np
import onnxruntime

from tests.performance.held_out import Plan
from tests.performance.measure import Repetition
from tests.performance.sliced import Ask, asked


def pickled(file: Path, rows: Path, plan: Plan) -> Repetition:
    """The estimator as people use it: unpickled once, `predict_proba` on numpy rows."""
    with file.open("rb") as stream:
        estimator = pickle.load(stream)  # our own file, written by the benchmark
    estimator.get_booster().set_param({"nthread": 1})
    return _repetition(lambda x: estimator.predict_proba(x)[:, 1], rows, plan)


def graph(file: Path, rows: Path, plan: Plan) -> Repetition:
    """ONNX Runtime on the CPU, as Triton runs it: one thread, the probability asked for."""
    session = one_thread_session(file)
    return _repetition(lambda x: session.run(["probability"], {"features": x})[0][:, 0], rows, plan)


def one_thread_session(file: Path) -> onnxruntime.InferenceSession:
    """A session with one intra-op and one inter-op thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _repetition(ask: Ask, rows: Path, plan: Plan) -> Repetition:
    held_out = np.load(rows)
    return lambda number: asked(ask, held_out, plan.slices(number))
