"""A real object of every class, on which defaults and setters are tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import mpsrnn_cy as mps

__all__ = ["OBJECTS"]

_Format = mps.MPSImageFeatureChannelFormat


def _layer_descriptor() -> mps.MPSRNNDescriptor:
    return mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(2, 2)


def _image_descriptor() -> mps.MPSImageDescriptor:
    return mps.MPSImageDescriptor(_Format.FLOAT16, 4, 4, 2)


def _matrix_descriptor() -> Any:
    return mps.MPSMatrixDescriptor(rows=2, columns=2, row_bytes=16, data_type=mps.MPSDataType.FLOAT32)


def _vector_descriptor() -> Any:
    return mps.MPSVectorDescriptor(length=2, data_type=mps.MPSDataType.FLOAT32)


def _command(device: mps.MTLDevice) -> mps.MTLCommandBuffer:
    return device.make_command_queue().make_command_buffer()


def _image_layer(device: mps.MTLDevice) -> Any:
    return mps.MPSRNNImageInferenceLayer(device, _layer_descriptor())


def _matrix_layer(device: mps.MTLDevice) -> Any:
    return mps.MPSRNNMatrixInferenceLayer(device, _layer_descriptor())


def _training_layer(device: mps.MTLDevice) -> Any:
    return mps.MPSRNNMatrixTrainingLayer(device, rnn_descriptor=_layer_descriptor(), trainable_weights=[])


def _image_state(device: mps.MTLDevice) -> Any:
    return mps.MPSRNNRecurrentImageState.from_numpy(device, [np.zeros((1, 1, 2), np.float32)])


def _matrix_state(device: mps.MTLDevice) -> Any:
    return mps.MPSRNNRecurrentMatrixState.from_numpy(device, [np.zeros((1, 2), np.float32)])


def _training_state(device: mps.MTLDevice) -> Any:
    weights: list[Any] = []
    layer = mps.MPSRNNMatrixTrainingLayer(device, rnn_descriptor=_layer_descriptor(), trainable_weights=weights)
    states: list[Any] = []
    source, destination = (mps.MPSMatrix(device, descriptor=_matrix_descriptor()) for _ in range(2))
    layer.encode_forward_sequence(
        _command(device),
        source_matrices=[source],
        destination_matrices=[destination],
        training_states=states,
        weights=weights,
    )
    return states[0]


def _unarchiver(device: mps.MTLDevice) -> Any:
    return mps.MPSKeyedUnarchiver(for_reading_from=_image_layer(device).to_bytes(), device=device)


def _neuron(_: mps.MTLDevice) -> mps.MPSNNNeuronDescriptor:
    return mps.MPSNNNeuronDescriptor.cnn_neuron_descriptor(mps.MPSCNNNeuronType.SIGMOID)


def _resource_list(_: mps.MTLDevice) -> Any:
    return mps.MPSStateResourceList()


def _texture_info(device: mps.MTLDevice) -> Any:
    state = mps.MPSState(device=device, texture_descriptor=mps.MTLTextureDescriptor())
    return state.texture_info(0)


OBJECTS: dict[str, Callable[[mps.MTLDevice], Any]] = {
    "MPSRNNDescriptor": lambda _: mps.MPSRNNDescriptor(),
    "MPSRNNSingleGateDescriptor": lambda _: mps.MPSRNNSingleGateDescriptor(),
    "MPSGRUDescriptor": lambda _: mps.MPSGRUDescriptor(),
    "MPSLSTMDescriptor": lambda _: mps.MPSLSTMDescriptor(),
    "MPSNNNeuronDescriptor": _neuron,
    "MPSCNNConvolutionDescriptor": lambda _: mps.MPSCNNConvolutionDescriptor(3, 3, 4, 4),
    # A protocol has no objects; this is the one source that the package brings along.
    "MPSCNNConvolutionDataSource": lambda _: mps.ArrayDataSource(np.zeros((4, 1, 1, 4), np.float32)),
    "MPSKernel": _image_layer,
    "MPSCNNKernel": _image_layer,
    "MPSRNNImageInferenceLayer": _image_layer,
    "MPSRNNMatrixInferenceLayer": _matrix_layer,
    "MPSRNNMatrixTrainingLayer": _training_layer,
    "MPSKeyedUnarchiver": _unarchiver,
    "MPSState": lambda device: mps.MPSState.temporary_state(_command(device), buffer_size=16),
    "MPSStateResourceList": _resource_list,
    "MPSStateTextureInfo": _texture_info,
    "MPSRNNRecurrentImageState": _image_state,
    "MPSRNNRecurrentMatrixState": _matrix_state,
    "MPSRNNMatrixTrainingState": _training_state,
    "MPSImageDescriptor": lambda _: _image_descriptor(),
    "MPSImage": lambda device: mps.MPSImage(device, _image_descriptor()),
    "MPSTemporaryImage": lambda device: mps.MPSTemporaryImage(_command(device), _image_descriptor()),
    "MPSMatrixDescriptor": lambda _: _matrix_descriptor(),
    "MPSMatrix": lambda device: mps.MPSMatrix(device, descriptor=_matrix_descriptor()),
    "MPSVectorDescriptor": lambda _: _vector_descriptor(),
    "MPSVector": lambda device: mps.MPSVector(device, descriptor=_vector_descriptor()),
    "MPSTemporaryMatrix": lambda device: mps.MPSTemporaryMatrix(_command(device), _matrix_descriptor()),
    "MPSTemporaryVector": lambda device: mps.MPSTemporaryVector(_command(device), _vector_descriptor()),
    "MPSImageReadWriteParams": lambda _: mps.MPSImageReadWriteParams(0, 4),
    "MPSOffset": lambda _: mps.MPSOffset(1, 2, 3),
    "MTLOrigin": lambda _: mps.MTLOrigin(1, 2, 3),
    "MTLSize": lambda _: mps.MTLSize(1, 2, 3),
    "MTLRegion": lambda _: mps.MTLRegion(mps.MTLOrigin(1, 2, 3), mps.MTLSize(1, 2, 3)),
    "MTLDevice": lambda device: device,
    "MTLCommandQueue": lambda device: device.make_command_queue(),
    "MTLCommandBuffer": _command,
    "MTLBuffer": lambda device: device.make_buffer(length=16),
    "MTLTexture": lambda device: mps.MPSImage(device, _image_descriptor()).texture,
    "MTLTextureDescriptor": lambda _: mps.MTLTextureDescriptor(),
}
