"""OpenVINO on the CPU: in float32, and as it comes, which is bfloat16 where the processor has products of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx  # noqa: F401  (the models are made with it)
import openvino

from ..contender import Contender
from ..workloads import Workload
from . import onnx_models

NAME = "OpenVINO"
REQUIRED = False


def prepare(workload: Workload, threads: int) -> Iterator[Contender]:
    core = openvino.Core()
    for variant, reset_after, model in onnx_models.models(workload):
        for precision in ("f32", None):
            settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
            if precision:
                settings["INFERENCE_PRECISION_HINT"] = precision
            compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", settings)
            used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
            if precision or used != "f32":
                words = [variant, "" if used == "f32" else used]
                yield _contender(workload, compiled, ", ".join(filter(None, words)), used != "f32", reset_after)


def _contender(
    workload: Workload, compiled: openvino.CompiledModel, variant: str, reduced: bool, reset_after: bool
) -> Contender:
    request = compiled.create_infer_request()
    feeds = onnx_models.feeds(workload)
    for name, array in feeds.items():
        request.set_tensor(name, openvino.Tensor(array, shared_memory=True))

    def run(_inputs_stay_alive: object = feeds) -> None:
        request.start_async()
        request.wait()

    def outputs() -> np.ndarray:
        return onnx_models.channels_last(workload, np.array(request.get_tensor(compiled.output(0)).data))

    version = openvino.__version__.split("-")[0]
    return Contender(NAME, variant, version, run, outputs, reduced, reset_after)
