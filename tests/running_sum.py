"""The smallest layer there is work for: it adds what it sees."""

from __future__ import annotations

import numpy as np

import mpsrnn_cy as mps


def running_sum(device: mps.MTLDevice) -> mps.MPSRNNImageInferenceLayer:
    """A layer that adds what it sees: h1 = x + h0."""
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(1, 1)
    descriptor.use_layer_input_unit_transform_mode = True
    descriptor.recurrent_weights = mps.ArrayDataSource(np.ones((1, 1, 1, 1), np.float32))
    return mps.MPSRNNImageInferenceLayer(device, descriptor)


def encoded(
    queue: mps.MTLCommandQueue, layer: mps.MPSRNNImageInferenceLayer, x: float, side: int = 1
) -> tuple[mps.MTLCommandBuffer, mps.MPSImage]:
    """A command buffer with one step of the layer, and its destination."""
    source = mps.MPSImage.from_numpy(queue.device, np.full((side, side, 1), x, np.float32))
    destination = mps.MPSImage.from_numpy(queue.device, np.zeros((side, side, 1), np.float32))
    command = queue.make_command_buffer()
    layer.encode_sequence(command, [source], [destination])
    return command, destination
