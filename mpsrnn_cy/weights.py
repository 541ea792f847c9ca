"""Data sources: the objects that deliver the weights of a gate when a layer is made."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .arguments import Float32Array, described, finite_array, instance_of, integer, read_only_copy
from .convolution import (
    MPSCNNConvolutionDescriptor,
    MPSNNNeuronDescriptor,
    check_groups,
    check_neuron,
)
from .enums import MPSCNNConvolutionWeightsLayout, MPSCNNWeightsQuantizationType, MPSDataType
from .errors import BadArgumentError, BadTypeError

__all__ = ["ArrayDataSource", "MPSCNNConvolutionDataSource"]

_DATA_TYPES = {
    np.dtype(np.uint8): MPSDataType.UINT8,
    np.dtype(np.float16): MPSDataType.FLOAT16,
    np.dtype(np.float32): MPSDataType.FLOAT32,
}


class MPSCNNConvolutionDataSource(Protocol):
    """Delivers the weights of one convolution when a layer is made. Any object with these methods is one.

    A layer calls `load`, then what it needs of the others, then `purge`, once per source and never while encoding.
    What buffers contain is copied before `purge`.

    These methods are optional; a layer looks whether the object has them:

    ``ranges_for_uint8_kernel()``
        Float32 (min, max) per output channel: ``w = u8 / 255·(max - min) + min``. None: not quantised so.
    ``lookup_table_for_uint8_kernel()``
        256 float32 numbers: ``w = table[u8]``. None: not quantised so.
    ``weights_quantization_type()``
        Which of the two holds, an `MPSCNNWeightsQuantizationType`; needed only where both are delivered.
    ``weights_layout()``
        `MPSCNNConvolutionWeightsLayout`, of which ``OHWI`` is the only case.
    ``kernel_weights_data_type()``
        Not called: a recurrent layer keeps weights as its descriptor's `use_float32_weights` says.
    ``copy(with_=None, device=None)``
        Not called: a layer has read its sources, so that its copies need none.
    """

    @abstractmethod
    def data_type(self) -> MPSDataType:
        """Element type of the weights: ``UINT8``, ``FLOAT16`` or ``FLOAT32``."""

    @abstractmethod
    def descriptor(self) -> MPSCNNConvolutionDescriptor:
        """Geometry, neuron and batch normalisation."""

    @abstractmethod
    def weights(self) -> Any:
        """Buffer of the weights, ``[output][row][column][input / groups]``, C-contiguous, of `data_type`."""

    @abstractmethod
    def bias_terms(self) -> Any:
        """Buffer of one float32 per output channel, or None. Asked of input weights alone."""

    @abstractmethod
    def load(self) -> bool:
        """Get ready to be read; False makes the construction of the layer fail."""

    @abstractmethod
    def purge(self) -> None:
        """Let go of what `load` acquired."""

    @abstractmethod
    def label(self) -> str | None:
        """Name the source in messages, or None."""


class ArrayDataSource:
    """A data source (`MPSCNNConvolutionDataSource`) over NumPy arrays, of which it keeps read-only copies.

    Parameters
    ----------
    weights
        ``(output channels, kernel height, kernel width, input channels / groups)``; float16, float32, or uint8 with
        exactly one of `ranges` and `lookup_table`.
    bias
        One number per output channel, float32 or float16.
    neuron
        The activation of the gate; None is the identity.
    dilation_rate
        Distance of the taps in rows and in columns, (y, x) like the axes of `weights`.
    groups
        Groups of channels that do not see each other, each a multiple of 4 channels.
    ranges
        (min, max) per output channel, for ``w = u8 / 255·(max - min) + min``.
    lookup_table
        256 numbers, for ``w = lookup_table[u8]``.
    label
        A name for messages.
    """

    def __init__(
        self,
        weights: npt.NDArray[Any],
        bias: npt.NDArray[Any] | None = None,
        neuron: MPSNNNeuronDescriptor | None = None,
        *,
        dilation_rate: tuple[int, int] = (1, 1),
        groups: int = 1,
        ranges: npt.NDArray[Any] | None = None,
        lookup_table: npt.NDArray[Any] | None = None,
        label: str | None = None,
    ) -> None:
        self._weights = _checked_weights(weights)
        self._data_type = _DATA_TYPES[self._weights.dtype]
        self._descriptor = _convolution(self._weights.shape, groups, dilation_rate, neuron)
        outputs = self._weights.shape[0]
        self._bias = _numbers(bias, "bias", (outputs,))
        self._ranges = _numbers(ranges, "ranges", (outputs, 2))
        self._lookup_table = _numbers(lookup_table, "lookup_table", (256,))
        tables = (ranges is not None) + (lookup_table is not None)
        if tables != (1 if self._data_type == MPSDataType.UINT8 else 0):
            raise BadArgumentError(
                f"ranges, lookup_table: got {tables} of them for weights of {self._weights.dtype}, "
                "expected exactly one for uint8 and none for other weights"
            )
        self._label = None if label is None else instance_of(label, "label", str)

    def __repr__(self) -> str:
        name = "" if self._label is None else f", label={self._label!r}"
        return f"ArrayDataSource({self._weights.shape} {self._weights.dtype}{name})"

    def load(self) -> bool:
        """Do nothing: the arrays are always there."""
        return True

    def purge(self) -> None:
        """Do nothing: the arrays stay for the next `load`."""

    def label(self) -> str | None:
        """Return the name given at construction."""
        return self._label

    def data_type(self) -> MPSDataType:
        """Element type of the weights."""
        return self._data_type

    def descriptor(self) -> MPSCNNConvolutionDescriptor:
        """Geometry and neuron; a copy, so that changing it does not change the source."""
        return self._descriptor.copy()

    def weights(self) -> npt.NDArray[Any]:
        """Return the weights, read-only."""
        return self._weights

    def bias_terms(self) -> Float32Array | None:
        """Return the biases as float32, read-only, or None."""
        return self._bias

    def ranges_for_uint8_kernel(self) -> Float32Array | None:
        """Return (min, max) per output channel as float32, or None."""
        return self._ranges

    def lookup_table_for_uint8_kernel(self) -> Float32Array | None:
        """Return the 256 numbers as float32, or None."""
        return self._lookup_table

    def weights_quantization_type(self) -> MPSCNNWeightsQuantizationType:
        """Return how uint8 weights become numbers."""
        if self._ranges is not None:
            return MPSCNNWeightsQuantizationType.LINEAR
        if self._lookup_table is not None:
            return MPSCNNWeightsQuantizationType.LOOKUP_TABLE
        return MPSCNNWeightsQuantizationType.NONE

    def weights_layout(self) -> MPSCNNConvolutionWeightsLayout:
        """Return the order of the axes of the weights."""
        return MPSCNNConvolutionWeightsLayout.OHWI

    def kernel_weights_data_type(self) -> MPSDataType:
        """Return FLOAT16, Apple's default. Recurrent layers do not ask: see `use_float32_weights`."""
        return MPSDataType.FLOAT16

    def copy(self, with_: object = None, device: object = None) -> ArrayDataSource:
        """Return the source itself, which cannot change; both arguments are Apple's and have no effect."""
        return self

    def __copy__(self) -> ArrayDataSource:
        return self

    def __deepcopy__(self, memo: object) -> ArrayDataSource:
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Come out of a pickle, where arrays forget that they are read-only."""
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
        self.__dict__.update(state)


def _array(value: object, name: str, dtypes: tuple[type[np.generic], ...]) -> npt.NDArray[Any]:
    """Check that `value` is an array of one of `dtypes` in native byte order."""
    array = instance_of(value, name, np.ndarray)
    if array.dtype not in dtypes:
        expected = ", ".join(np.dtype(dtype).name for dtype in dtypes)
        raise BadTypeError(f"{name}: got an array of {described(array.dtype)}, expected one of {expected}")
    return array


def _checked_weights(weights: object) -> npt.NDArray[Any]:
    """Check dtype, rank and numbers, and copy."""
    array = _array(weights, "weights", (np.float16, np.float32, np.uint8))
    if array.ndim != 4 or array.size == 0:
        raise BadArgumentError(
            f"weights: got shape {array.shape}, expected four axes above 0: "
            "(output channels, kernel height, kernel width, input channels / groups)"
        )
    finite_array(array, "weights")
    return read_only_copy(array)


def _numbers(value: object, name: str, shape: tuple[int, ...]) -> Float32Array | None:
    """Check an optional array of finite numbers, and copy it as float32."""
    if value is None:
        return None
    array = _array(value, name, (np.float16, np.float32))
    if array.shape != shape:
        raise BadArgumentError(f"{name}: got shape {array.shape}, expected {shape}")
    finite_array(array, name)
    return read_only_copy(array, np.float32)


def _convolution(
    shape: tuple[int, ...], groups: int, dilation_rate: tuple[int, int], neuron: MPSNNNeuronDescriptor | None
) -> MPSCNNConvolutionDescriptor:
    """Describe the convolution of weights of the given shape."""
    outputs, kernel_height, kernel_width, group_inputs = shape
    groups = integer(groups, "groups", minimum=1)
    check_groups(groups, group_inputs * groups, outputs, "groups")
    rates = instance_of(dilation_rate, "dilation_rate", tuple)
    if len(rates) != 2:
        raise BadArgumentError(f"dilation_rate: got {rates!r}, expected two ints, (y, x)")
    descriptor = MPSCNNConvolutionDescriptor(kernel_width, kernel_height, group_inputs * groups, outputs)
    descriptor.groups = groups
    descriptor.dilation_rate_y = integer(rates[0], "dilation_rate[0]", minimum=1)
    descriptor.dilation_rate_x = integer(rates[1], "dilation_rate[1]", minimum=1)
    if neuron is not None:
        fused = instance_of(neuron, "neuron", MPSNNNeuronDescriptor).copy()
        check_neuron(fused, outputs, "neuron")
        descriptor.fused_neuron_descriptor = fused
    return descriptor
