"""How long an image layer takes over a sequence, from NumPy to NumPy.

`make bench` runs these. They report and never fail: what a figure means depends on the machine.
"""

from __future__ import annotations

import numpy as np
import pytest

import conversion
import mpsrnn_cy as mps
from test_image_layer import gru, lstm, single_gate

WORKLOADS = {
    "ConvLSTM 64x64 16-64": (lstm, 64, 16, 64),
    "ConvLSTM 32x32 128-128": (lstm, 32, 128, 128),
    "ConvGRU 64x64 64-64": (gru, 64, 64, 64),
    "single gate 64x64 16-64": (single_gate, 64, 16, 64),
}


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("threads", [1, 2])
def test_sequence_of_five(benchmark, device: mps.MTLDevice, workload: str, threads: int) -> None:
    make, side, inputs, outputs = WORKLOADS[workload]
    rng = np.random.default_rng(0)
    layer = conversion.layer(device, [make(rng, inputs, outputs)])
    x = rng.standard_normal((5, side, side, inputs)).astype(np.float32)
    benchmark.group = workload
    before = device.number_of_threads
    device.number_of_threads = threads
    try:
        result = benchmark.pedantic(layer.predict, args=(x,), rounds=3, warmup_rounds=1)
    finally:
        device.number_of_threads = before
    assert np.isfinite(result).all()
