"""Reads data sources: load, ask, check, copy, purge; then dequantise, fold and round what they delivered."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from .arguments import (
    Float32Array,
    buffer_view,
    enum_member,
    finite_array,
    finite_float32,
    instance_of,
    read_only_copy,
)
from .convolution import (
    BatchNormalization,
    MPSCNNConvolutionDescriptor,
    MPSNNNeuronDescriptor,
    check_groups,
    check_neuron,
    check_window,
)
from .enums import MPSCNNConvolutionWeightsLayout, MPSCNNNeuronType, MPSCNNWeightsQuantizationType, MPSDataType
from .errors import BadArgumentError, BadTypeError
from .weights import MPSCNNConvolutionDataSource

__all__ = ["ConvolutionWeights", "Neuron", "SourceRole", "read_source"]

_DTYPES: dict[MPSDataType, np.dtype[Any]] = {
    MPSDataType.UINT8: np.dtype(np.uint8),
    MPSDataType.FLOAT16: np.dtype(np.float16),
    MPSDataType.FLOAT32: np.dtype(np.float32),
}


class SourceRole(Enum):
    """What a data source is to its gate, which decides what is read of it."""

    INPUT = "input"
    """W: weights, biases, neuron and batch normalisation."""
    RECURRENT = "recurrent"
    """U: weights alone."""
    MEMORY = "memory"
    """V: weights alone."""
    DIAGONAL_MEMORY = "diagonal memory"
    """V as one factor per channel."""


@dataclass(frozen=True, eq=False)
class Neuron:
    """An activation as layers need it; `data` is PReLU's a per channel, None for every other function."""

    type: MPSCNNNeuronType = MPSCNNNeuronType.NONE
    a: float = 0.0
    b: float = 0.0
    c: float = 0.0
    data: Float32Array | None = None


@dataclass(frozen=True, eq=False)
class ConvolutionWeights:
    """What a data source delivered, ready to be packed; arrays are read-only and in nobody else's hands.

    Attributes
    ----------
    weights
        C-contiguous ``(output channels, kernel height, kernel width, input channels / groups)``, float16 or float32;
        ``(channels, 1, 1, 1)`` for diagonal memory weights.
    bias
        One number per output channel, or None.
    neuron
        The activation of the gate, the identity for everything but input weights.
    dilation
        Distance of the taps in rows and in columns, (y, x).
    groups
        Groups of channels that do not see each other.
    """

    weights: npt.NDArray[np.float16] | npt.NDArray[np.float32]
    bias: Float32Array | None
    neuron: Neuron
    dilation: tuple[int, int]
    groups: int

    @property
    def output_channels(self) -> int:
        """Output channels of the convolution."""
        return int(self.weights.shape[0])

    @property
    def kernel_height(self) -> int:
        """Rows of the window."""
        return int(self.weights.shape[1])

    @property
    def kernel_width(self) -> int:
        """Columns of the window."""
        return int(self.weights.shape[2])

    @property
    def input_channels(self) -> int:
        """Input channels of the convolution, over all groups."""
        return int(self.weights.shape[3]) * self.groups


def read_source(
    source: MPSCNNConvolutionDataSource,
    slot: str,
    *,
    role: SourceRole,
    input_channels: int,
    output_channels: int,
    use_float32_weights: bool,
) -> ConvolutionWeights:
    """Read a data source by the documented protocol: load, everything else, purge.

    Parameters
    ----------
    source
        The data source.
    slot
        Where it comes from, for messages: the attribute of the descriptor.
    role
        What the source is to its gate. Biases and neurons of all but input sources are ignored, as the MPS headers say.
    input_channels, output_channels
        What the layer expects the source to describe. For diagonal memory weights both are the number of channels.
    use_float32_weights
        Keep weights as float32 instead of rounding them to float16, to nearest even.

    Raises
    ------
    BadArgumentError, BadTypeError
        If the source fails or delivers something else than expected. The message names the slot and the source's label,
        and an exception of the source itself is the cause.
    """
    loaded = _LoadedSource(source, slot)
    try:
        loaded.take_label()
        descriptor = loaded.descriptor()
        where = loaded.where
        shape = _weights_shape(descriptor, where, role, input_channels, output_channels)
        weights = loaded.weights(shape)
        bias = None
        neuron = Neuron()
        normalization = descriptor.batch_normalization
        if role is SourceRole.INPUT:
            bias = loaded.bias(output_channels)
            neuron = _neuron(descriptor.fused_neuron_descriptor, output_channels, where)
        elif normalization is not None:
            raise BadArgumentError(
                f"{where}: got batch normalisation on {role.value} weights, expected it on input weights only"
            )
    finally:
        loaded.purge()
    if normalization is not None:
        weights, bias = _folded(weights, bias, normalization, where)
    rounded = _rounded(weights, use_float32_weights, where)
    groups = descriptor.groups
    if role is SourceRole.DIAGONAL_MEMORY:
        rounded = rounded.reshape(output_channels, 1, 1, 1)
        groups = 1
    dilation = (descriptor.dilation_rate_y, descriptor.dilation_rate_x)
    return ConvolutionWeights(rounded, bias, neuron, dilation, groups)


class _LoadedSource:
    """A data source between `load` and `purge`; whatever it does wrong becomes an exception that says where."""

    def __init__(self, source: MPSCNNConvolutionDataSource, slot: str) -> None:
        self._source = source
        self._slot = slot
        self.where = f"{slot} ({type(source).__name__})"
        answer = self._call("load")
        if not isinstance(answer, bool):
            raise BadTypeError(f"{self.where}: load() returned {answer!r} ({type(answer).__name__}), expected a bool")
        if not answer:
            raise BadArgumentError(f"{self.where}: load() returned False, expected True")

    def take_label(self) -> None:
        """Name the source in messages by its label. Not done earlier, as nothing may be asked before `load`."""
        label = self._call("label")
        if label is not None:
            self.where = f"{self._slot} ({instance_of(label, f'{self.where}: label()', str)!r})"

    def purge(self) -> None:
        """Balance `load`."""
        self._call("purge")

    def descriptor(self) -> MPSCNNConvolutionDescriptor:
        """Get the geometry, as a copy that the source cannot change any more."""
        name = f"{self.where}: descriptor()"
        return instance_of(self._call("descriptor"), name, MPSCNNConvolutionDescriptor).copy()

    def bias(self, output_channels: int) -> Float32Array | None:
        """Copy the biases, if there are any."""
        terms = self._call("bias_terms")
        if terms is None:
            return None
        return read_only_copy(finite_float32(terms, f"{self.where}: bias_terms()", output_channels))

    def weights(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Copy the weights, dequantised if they are uint8."""
        data_type = enum_member(self._call("data_type"), f"{self.where}: data_type()", MPSDataType)
        if data_type not in _DTYPES:
            raise BadArgumentError(f"{self.where}: data_type() is {data_type.name}, expected UINT8, FLOAT16 or FLOAT32")
        layout = self._call("weights_layout", optional=True)
        if layout is not None:
            enum_member(layout, f"{self.where}: weights_layout()", MPSCNNConvolutionWeightsLayout)
        name = f"{self.where}: weights()"
        delivered = self._call("weights")
        flat = buffer_view(delivered, name, _DTYPES[data_type], math.prod(shape))
        _check_axes(delivered, name, shape)
        weights = self._dequantised(flat.reshape(shape), data_type)
        finite_array(weights, name)
        return read_only_copy(weights)

    def _dequantised(self, values: npt.NDArray[Any], data_type: MPSDataType) -> npt.NDArray[Any]:
        """Turn uint8 weights into float32, in the arithmetic of the headers; leave others as they are."""
        kind = self._call("weights_quantization_type", optional=True)
        if kind is not None:
            name = f"{self.where}: weights_quantization_type()"
            kind = enum_member(kind, name, MPSCNNWeightsQuantizationType)
            if (kind == MPSCNNWeightsQuantizationType.NONE) == (data_type == MPSDataType.UINT8):
                raise BadArgumentError(
                    f"{name} is {kind.name} for {data_type.name} weights, "
                    "expected LINEAR or LOOKUP_TABLE for UINT8 and NONE for others"
                )
        if data_type != MPSDataType.UINT8:
            return values
        ranges = table = None
        if kind != MPSCNNWeightsQuantizationType.LOOKUP_TABLE:
            ranges = self._call("ranges_for_uint8_kernel", optional=True)
        if kind != MPSCNNWeightsQuantizationType.LINEAR:
            table = self._call("lookup_table_for_uint8_kernel", optional=True)
        if (ranges is None) == (table is None):
            found = "neither" if ranges is None else "both"
            raise BadArgumentError(
                f"{self.where}: got {found} of ranges_for_uint8_kernel() and lookup_table_for_uint8_kernel() "
                "for UINT8 weights, expected one of them, or weights_quantization_type() to choose"
            )
        if table is not None:
            name = f"{self.where}: lookup_table_for_uint8_kernel()"
            dequantised: Float32Array = finite_float32(table, name, 256)[values]
            return dequantised
        limits = finite_float32(ranges, f"{self.where}: ranges_for_uint8_kernel()", 2 * values.shape[0])
        return _linear(values, limits.reshape(-1, 2))

    def _call(self, method: str, *, optional: bool = False) -> Any:
        """Call a method of the source; None if it is optional and missing."""
        function = getattr(self._source, method, None)
        if function is None:
            if optional:
                return None
            raise BadTypeError(f"{self.where}: got an object without {method}(), expected a data source")
        try:
            return function()
        except Exception as error:
            raise BadArgumentError(f"{self.where}: {method}() raised {type(error).__name__}: {error}") from error


def _weights_shape(
    descriptor: MPSCNNConvolutionDescriptor, where: str, role: SourceRole, input_channels: int, output_channels: int
) -> tuple[int, int, int, int]:
    """Check the geometry against the layer's; return the shape in which the weights are delivered."""
    strides = (descriptor.stride_in_pixels_y, descriptor.stride_in_pixels_x)
    if strides != (1, 1):
        raise BadArgumentError(f"{where}: got stride {strides} (y, x), expected (1, 1): a layer keeps the image size")
    kernel = (descriptor.kernel_height, descriptor.kernel_width)
    dilation = (descriptor.dilation_rate_y, descriptor.dilation_rate_x)
    check_window(kernel, dilation, where)
    channels = (descriptor.input_feature_channels, descriptor.output_feature_channels)
    groups = descriptor.groups
    if role is not SourceRole.DIAGONAL_MEMORY:
        if channels != (input_channels, output_channels):
            raise BadArgumentError(
                f"{where}: got {channels[0]} input and {channels[1]} output channels, "
                f"expected {input_channels} and {output_channels}"
            )
        check_groups(groups, input_channels, output_channels, where)
        return (output_channels, *kernel, input_channels // groups)
    count = output_channels
    if channels not in ((1, count), (count, count), (count, 1)):
        raise BadArgumentError(
            f"{where}: got {channels[0]} input and {channels[1]} output channels for diagonal memory weights, "
            f"expected (1, {count}), ({count}, {count}) or ({count}, 1)"
        )
    if kernel != (1, 1):
        raise BadArgumentError(f"{where}: got a kernel of {kernel} for diagonal memory weights, expected (1, 1)")
    # A depth-wise description, one group per channel, says the same as n to n channels on the diagonal.
    if groups != 1 and (groups, *channels) != (count, count, count):
        raise BadArgumentError(f"{where}: got {groups} groups for diagonal memory weights, expected 1")
    return (channels[1], 1, 1, count // channels[1])


def _check_axes(delivered: object, name: str, shape: tuple[int, ...]) -> None:
    """Check the axes of an array that is not flat: equal length alone would let transposed weights pass."""
    if not isinstance(delivered, np.ndarray) or delivered.ndim < 2:
        return
    if [size for size in delivered.shape if size != 1] != [size for size in shape if size != 1]:
        raise BadArgumentError(
            f"{name}: got shape {delivered.shape}, expected {shape}, with or without axes of length 1, or a flat array"
        )


def _linear(values: npt.NDArray[Any], limits: Float32Array) -> Float32Array:
    """Compute u8 / 255·(max - min) + min in float32, with one (min, max) per output channel."""
    low = limits[:, 0].reshape(-1, 1, 1, 1)
    high = limits[:, 1].reshape(-1, 1, 1, 1)
    # A range wider than float32 makes infinities, which the caller finds.
    with np.errstate(over="ignore", invalid="ignore"):
        weights: Float32Array = values.astype(np.float32) / np.float32(255) * (high - low) + low
    return weights


def _neuron(descriptor: MPSNNNeuronDescriptor, output_channels: int, where: str) -> Neuron:
    """Freeze a neuron."""
    check_neuron(descriptor, output_channels, where)
    data = None
    if descriptor.neuron_type == MPSCNNNeuronType.PRELU and descriptor.data is not None:
        data = read_only_copy(descriptor.data)
    return Neuron(descriptor.neuron_type, descriptor.a, descriptor.b, descriptor.c, data)


def _folded(
    weights: npt.NDArray[Any], bias: Float32Array | None, normalization: BatchNormalization, where: str
) -> tuple[npt.NDArray[np.float64], Float32Array]:
    """Fold a batch normalisation into weights and biases, in float64 so that each is rounded once."""
    outputs = weights.shape[0]
    if normalization.mean.size != outputs:
        raise BadArgumentError(
            f"{where}: got batch normalisation of {normalization.mean.size} channels, expected {outputs}"
        )
    factor = normalization.gamma / np.sqrt(normalization.variance.astype(np.float64) + normalization.epsilon)
    shifted = normalization.beta - factor * normalization.mean
    if bias is not None:
        shifted = shifted + bias * factor
    with np.errstate(over="ignore"):
        terms = read_only_copy(shifted, np.float32)
    finite_array(terms, f"{where}: biases folded with the batch normalisation")
    return weights * factor.reshape(-1, 1, 1, 1), terms


def _rounded(
    weights: npt.NDArray[Any], use_float32_weights: bool, where: str
) -> npt.NDArray[np.float16] | npt.NDArray[np.float32]:
    """Round finite weights to the precision of the layer, to nearest even; too large a weight is an error."""
    dtype: np.dtype[Any] = np.dtype(np.float32 if use_float32_weights else np.float16)
    with np.errstate(over="ignore"):
        rounded = weights.astype(dtype, copy=False)
    if not np.isfinite(rounded).all():
        advice = "" if use_float32_weights else "; use_float32_weights=True keeps larger ones"
        largest = float(np.abs(weights).max())
        raise BadArgumentError(
            f"{where}: got a weight of magnitude {largest:g}, "
            f"expected at most {float(np.finfo(dtype).max):g} for {dtype}{advice}"
        )
    rounded.flags.writeable = False
    return rounded
