"""Descriptions of neurons and convolutions; formulae and defaults follow the semantics of the MPS headers."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from .arguments import (
    Buffer,
    Float32Array,
    enum_member,
    finite_float32,
    instance_of,
    integer,
    read_only_copy,
    real,
)
from .enums import MPSCNNNeuronType
from .errors import BadArgumentError, BadTypeError
from .properties import Property, PropertyHolder

__all__ = [
    "WINDOW_MAXIMUM",
    "BatchNormalization",
    "MPSCNNConvolutionDescriptor",
    "MPSNNNeuronDescriptor",
    "check_groups",
    "check_neuron",
    "check_window",
]

WINDOW_MAXIMUM = 2**15 - 1
"""Pixels that a kernel may reach over, dilation included: kernels hold the offsets of taps in 16 bits."""

_NeuronT = TypeVar("_NeuronT", bound="MPSNNNeuronDescriptor")
_ConvolutionT = TypeVar("_ConvolutionT", bound="MPSCNNConvolutionDescriptor")

# a, b, c as the headers suggest them, 0 where the formula has no such parameter. The last three functions use their
# parameters without a suggestion: None demands a value from the caller.
_SUGGESTED_PARAMETERS: dict[MPSCNNNeuronType, tuple[float | None, float | None, float | None]] = {
    MPSCNNNeuronType.NONE: (0.0, 0.0, 0.0),
    MPSCNNNeuronType.RELU: (0.0, 0.0, 0.0),
    MPSCNNNeuronType.LINEAR: (1.0, 0.0, 0.0),
    MPSCNNNeuronType.SIGMOID: (0.0, 0.0, 0.0),
    MPSCNNNeuronType.HARD_SIGMOID: (0.2, 0.5, 0.0),
    MPSCNNNeuronType.TANH: (1.0, 1.0, 0.0),
    MPSCNNNeuronType.ABSOLUTE: (0.0, 0.0, 0.0),
    MPSCNNNeuronType.SOFT_PLUS: (1.0, 1.0, 0.0),
    MPSCNNNeuronType.SOFT_SIGN: (0.0, 0.0, 0.0),
    MPSCNNNeuronType.ELU: (1.0, 0.0, 0.0),
    MPSCNNNeuronType.RELUN: (1.0, 6.0, 0.0),
    MPSCNNNeuronType.GELU: (0.0, 0.0, 0.0),
    MPSCNNNeuronType.POWER: (None, None, None),
    MPSCNNNeuronType.EXPONENTIAL: (None, None, None),
    MPSCNNNeuronType.LOGARITHM: (None, None, None),
}


def _channel_parameters(value: object, name: str) -> Float32Array | None:
    """Check the per-channel `a` of PReLU and keep a copy."""
    return None if value is None else read_only_copy(finite_float32(value, name))


class MPSNNNeuronDescriptor(PropertyHolder):
    """An activation function and its parameters. Made by its two factories; the formulae are in `MPSCNNNeuronType`."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    neuron_type = Property(
        partial(enum_member, enum_type=MPSCNNNeuronType), MPSCNNNeuronType.NONE, "The function, an `MPSCNNNeuronType`."
    )
    a = Property(real, 0.0, "Parameter a of the formula.")
    b = Property(real, 0.0, "Parameter b of the formula.")
    c = Property(real, 0.0, "Parameter c of the formula.")
    data: Property[Float32Array | None] = Property(
        _channel_parameters, None, "PReLU's a, one per output channel, float32 and read-only; None for other functions."
    )

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        raise BadTypeError(
            "MPSNNNeuronDescriptor: cannot be constructed directly, expected "
            "MPSNNNeuronDescriptor.cnn_neuron_descriptor(with_) or .cnn_neuron_prelu_descriptor(with_)"
        )

    @classmethod
    def cnn_neuron_descriptor(
        cls: type[_NeuronT],
        with_: MPSCNNNeuronType,
        a: float | None = None,
        b: float | None = None,
        c: float | None = None,
    ) -> _NeuronT:
        """Make a neuron of any function but PReLU.

        Parameters
        ----------
        with_
            The function.
        a, b, c
            Its parameters. An omitted one takes the value the MPS headers suggest: ``LINEAR`` 1, 0; ``HARD_SIGMOID``
            0.2, 0.5; ``TANH`` and ``SOFT_PLUS`` 1, 1; ``ELU`` 1; ``RELUN`` 1, 6; ``RELU`` 0. For ``POWER``,
            ``EXPONENTIAL`` and ``LOGARITHM`` they suggest none, so all three must be given.
        """
        neuron_type = enum_member(with_, "with_", MPSCNNNeuronType)
        if neuron_type == MPSCNNNeuronType.PRELU:
            raise BadArgumentError(
                "with_: got PRELU, expected another function; cnn_neuron_prelu_descriptor makes PReLU from its data"
            )
        descriptor = cls.__new__(cls)
        descriptor.neuron_type = neuron_type
        given = {"a": a, "b": b, "c": c}
        for (name, value), suggested in zip(given.items(), _SUGGESTED_PARAMETERS[neuron_type], strict=True):
            chosen = suggested if value is None else value
            if chosen is None:
                raise BadArgumentError(f"{name}: got None, expected a number: {neuron_type.name} has no default for it")
            setattr(descriptor, name, real(chosen, name))
        return descriptor

    @classmethod
    def cnn_neuron_prelu_descriptor(cls: type[_NeuronT], with_: Buffer, no_copy: bool = False) -> _NeuronT:
        """Make a PReLU neuron: ``x if x >= 0 else a[channel]·x``.

        Parameters
        ----------
        with_
            One float32 per output channel, an array or any C-contiguous buffer.
        no_copy
            Refer to the caller's memory, which must then keep its contents until the layers are made.
        """
        view = finite_float32(with_, "with_")
        # The view is ours alone, so this does not touch the caller's array.
        view.flags.writeable = False
        descriptor = cls.__new__(cls)
        descriptor.neuron_type = MPSCNNNeuronType.PRELU
        descriptor._values["data"] = view if no_copy else read_only_copy(view)
        return descriptor

    def copy(self: _NeuronT) -> _NeuronT:
        """Make an independent copy."""
        return self.__copy__()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MPSNNNeuronDescriptor):
            return NotImplemented
        same_parameters = (self.neuron_type, self.a, self.b, self.c) == (other.neuron_type, other.a, other.b, other.c)
        if self.data is None or other.data is None:
            return same_parameters and self.data is other.data
        return same_parameters and np.array_equal(self.data, other.data)


@dataclass(frozen=True, eq=False)
class BatchNormalization:
    """Statistics of a batch normalisation, float32 and read-only, one entry per output channel."""

    mean: Float32Array
    variance: Float32Array
    gamma: Float32Array
    beta: Float32Array
    epsilon: float


class MPSCNNConvolutionDescriptor(PropertyHolder):
    """Geometry of a convolution, with the neuron and the batch normalisation that follow it.

    Parameters
    ----------
    kernel_width, kernel_height
        Size of the window, any positive number; even sizes have one more tap on the left and at the top.
    input_feature_channels, output_feature_channels
        Channels of the source and of the destination.
    """

    __slots__ = ()

    _count = partial(integer, minimum=1)
    kernel_width = Property(_count, 3, "Columns of the window.")
    kernel_height = Property(_count, 3, "Rows of the window.")
    input_feature_channels = Property(_count, 1, "Channels of the source.")
    output_feature_channels = Property(_count, 1, "Channels of the destination.")
    stride_in_pixels_x = Property(_count, 1, "Columns from one window to the next; a recurrent layer needs 1.")
    stride_in_pixels_y = Property(_count, 1, "Rows from one window to the next; a recurrent layer needs 1.")
    groups = Property(_count, 1, "Groups of channels that do not see each other, each a multiple of 4 channels.")
    dilation_rate_x = Property(_count, 1, "Columns from one tap to the next.")
    dilation_rate_y = Property(_count, 1, "Rows from one tap to the next.")
    # The default is never handed out: __init__ gives each descriptor a neuron of its own, for neurons can be changed.
    fused_neuron_descriptor = Property(
        partial(instance_of, expected=MPSNNNeuronDescriptor),
        MPSNNNeuronDescriptor.cnn_neuron_descriptor(MPSCNNNeuronType.NONE),
        "The neuron applied to the result, an `MPSNNNeuronDescriptor`; a function of type NONE until set.",
    )

    def __init__(
        self, kernel_width: int, kernel_height: int, input_feature_channels: int, output_feature_channels: int
    ) -> None:
        self.kernel_width = kernel_width
        self.kernel_height = kernel_height
        self.input_feature_channels = input_feature_channels
        self.output_feature_channels = output_feature_channels
        self.fused_neuron_descriptor = MPSNNNeuronDescriptor.cnn_neuron_descriptor(MPSCNNNeuronType.NONE)

    @property
    def batch_normalization(self) -> BatchNormalization | None:
        """The normalisation set by the method below, or None. Apple's class keeps it to itself."""
        normalization: BatchNormalization | None = self._values.get("batch_normalization")
        return normalization

    def set_batch_normalization_parameters_for_inference_with_mean(
        self, mean: Buffer, variance: Buffer, gamma: Buffer, beta: Buffer, epsilon: float
    ) -> None:
        """Fold a batch normalisation into weights w and biases b when a layer reads them.

        With k = gamma / sqrt(variance + epsilon), w becomes w·k and b becomes b·k + beta - k·mean.

        Parameters
        ----------
        mean, variance, gamma, beta
            Float32 buffers with one entry per output channel; they are copied.
        epsilon
            Added to the variance; at least 0, and large enough that every sum is above 0.
        """
        given = {"mean": mean, "variance": variance, "gamma": gamma, "beta": beta}
        channels = self.output_feature_channels
        kept = {name: read_only_copy(finite_float32(value, name, channels)) for name, value in given.items()}
        number = real(epsilon, "epsilon")
        if number < 0:
            raise BadArgumentError(f"epsilon: got {epsilon!r}, expected at least 0")
        lowest = float(kept["variance"].min())
        if not lowest + number > 0:
            raise BadArgumentError(f"variance: got {lowest} with epsilon {number}, expected sums above 0")
        self._values["batch_normalization"] = BatchNormalization(**kept, epsilon=number)

    def set_neuron_type(self, neuron_type: MPSCNNNeuronType, parameter_a: float, parameter_b: float) -> None:
        """Set the neuron, any but PReLU. Deprecated, as Apple's: set `fused_neuron_descriptor`."""
        _deprecated("set_neuron_type()")
        neuron = MPSNNNeuronDescriptor.cnn_neuron_descriptor(neuron_type, parameter_a, parameter_b)
        self.fused_neuron_descriptor = neuron

    def set_neuron_to_prelu_with_parameters_a(self, a: Buffer) -> None:
        """Set a PReLU neuron with one a per output channel. Deprecated, as Apple's: set `fused_neuron_descriptor`."""
        _deprecated("set_neuron_to_prelu_with_parameters_a()")
        parameters = finite_float32(a, "a", self.output_feature_channels)
        self.fused_neuron_descriptor = MPSNNNeuronDescriptor.cnn_neuron_prelu_descriptor(parameters)

    def neuron_type(self) -> MPSCNNNeuronType:
        """Get the function of the neuron. Deprecated, as Apple's: read `fused_neuron_descriptor`."""
        _deprecated("neuron_type()")
        return self.fused_neuron_descriptor.neuron_type

    def neuron_parameter_a(self) -> float:
        """Get parameter a of the neuron. Deprecated, as Apple's: read `fused_neuron_descriptor`."""
        _deprecated("neuron_parameter_a()")
        return self.fused_neuron_descriptor.a

    def neuron_parameter_b(self) -> float:
        """Get parameter b of the neuron. Deprecated, as Apple's: read `fused_neuron_descriptor`."""
        _deprecated("neuron_parameter_b()")
        return self.fused_neuron_descriptor.b

    @property
    def neuron(self) -> MPSNNNeuronDescriptor | None:
        """The neuron, None if its type is NONE. Deprecated, as Apple's: use `fused_neuron_descriptor`.

        Apple's is a kernel; here its descriptor takes its place.
        """
        _deprecated("neuron")
        neuron = self.fused_neuron_descriptor
        return None if neuron.neuron_type == MPSCNNNeuronType.NONE else neuron

    @neuron.setter
    def neuron(self, value: MPSNNNeuronDescriptor | None) -> None:
        _deprecated("neuron")
        if value is None:
            value = MPSNNNeuronDescriptor.cnn_neuron_descriptor(MPSCNNNeuronType.NONE)
        self.fused_neuron_descriptor = instance_of(value, "MPSCNNConvolutionDescriptor.neuron", MPSNNNeuronDescriptor)

    def __setstate__(self, state: dict[str, Any]) -> None:
        properties = dict(state)
        normalization = properties.pop("batch_normalization", None)
        super().__setstate__(properties)
        if normalization is not None:
            self.set_batch_normalization_parameters_for_inference_with_mean(**normalization)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if self.batch_normalization is not None:
            state["batch_normalization"] = asdict(self.batch_normalization)
        return state

    def __copy__(self: _ConvolutionT) -> _ConvolutionT:
        copied = super().__copy__()
        copied.fused_neuron_descriptor = self.fused_neuron_descriptor.copy()
        return copied

    def copy(self: _ConvolutionT) -> _ConvolutionT:
        """Make an independent copy, the neuron included."""
        return self.__copy__()


def _deprecated(member: str) -> None:
    """Warn the caller of a deprecated member of `MPSCNNConvolutionDescriptor`."""
    warnings.warn(
        f"MPSCNNConvolutionDescriptor.{member} is deprecated, as Apple's is; use fused_neuron_descriptor",
        DeprecationWarning,
        stacklevel=3,
    )


def check_groups(groups: int, input_channels: int, output_channels: int, name: str) -> None:
    """Check that `groups` divides both channel counts into multiples of 4; one group may have any count."""
    if groups == 1:
        return
    for side, channels in (("input", input_channels), ("output", output_channels)):
        if channels % groups != 0 or channels // groups % 4 != 0:
            raise BadArgumentError(
                f"{name}: got {groups} groups for {channels} {side} channels, "
                "expected each group to hold a multiple of 4 channels"
            )


def check_window(kernel: tuple[int, ...], dilation: tuple[int, int], name: str) -> None:
    """Check that a kernel, (height, width), with its dilation (y, x) reaches no farther than taps can be offset."""
    if max(size * rate for size, rate in zip(kernel, dilation, strict=True)) > WINDOW_MAXIMUM:
        raise BadArgumentError(
            f"{name}: got a kernel of {kernel} with dilation {dilation} (y, x), "
            f"expected to reach over at most {WINDOW_MAXIMUM} pixels"
        )


def check_neuron(neuron: MPSNNNeuronDescriptor, output_channels: int, name: str) -> None:
    """Check that a PReLU neuron has one parameter per output channel."""
    if neuron.neuron_type != MPSCNNNeuronType.PRELU:
        return
    found = 0 if neuron.data is None else neuron.data.size
    if found != output_channels:
        raise BadArgumentError(
            f"{name}: got PReLU data of {found} channels, expected {output_channels}, one per output channel"
        )
