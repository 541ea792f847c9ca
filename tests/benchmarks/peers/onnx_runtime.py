"""ONNX Runtime, with every optimisation of the graph, and inputs and outputs bound once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnxruntime

from ..contender import Contender
from ..workloads import Workload
from . import onnx_models

NAME = "ONNX Runtime"
REQUIRED = True

onnxruntime.set_default_logger_severity(3)


def prepare(workload: Workload, threads: int) -> Iterator[Contender]:
    for variant, reset_after, model in onnx_models.models(workload):
        yield _contender(workload, threads, variant, reset_after, model.SerializeToString())


def _contender(workload: Workload, threads: int, variant: str, reset_after: bool, model: bytes) -> Contender:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    values = {n: onnxruntime.OrtValue.ortvalue_from_numpy(a) for n, a in onnx_models.feeds(workload).items()}
    for name, value in values.items():
        binding.bind_ortvalue_input(name, value)
    result = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(session.get_outputs()[0].shape, np.float32))
    binding.bind_ortvalue_output("Y", result)
    return Contender(
        NAME,
        variant,
        onnxruntime.__version__,
        lambda: session.run_with_iobinding(binding),
        lambda: onnx_models.channels_last(workload, result.numpy()),
        reset_after=reset_after,
    )
