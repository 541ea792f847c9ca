"""Descriptors of recurrent layers: which gates there are, and where each gets its weights.

The formulae are those of the MPS headers. x is the input, h0 the previous output, c0 and c1 the previous and the new
memory cell; ``*`` is the convolution (image layers) or the matrix product (matrix layers), ``·`` acts per element.
A slot without a source stands for zero weights; without input weights a gate has no bias and no activation either.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, NamedTuple, TypeVar

from .arguments import boolean, enum_member, integer, positive_real, real
from .enums import MPSCNNNeuronType, MPSRNNSequenceDirection
from .errors import BadArgumentError, BadTypeError
from .properties import Property, PropertyHolder
from .weights import MPSCNNConvolutionDataSource

__all__ = ["Gate", "MPSGRUDescriptor", "MPSLSTMDescriptor", "MPSRNNDescriptor", "MPSRNNSingleGateDescriptor"]

_DescriptorT = TypeVar("_DescriptorT", bound="MPSRNNDescriptor")

_REQUIRED_METHODS = tuple(
    name for name, member in vars(MPSCNNConvolutionDataSource).items() if getattr(member, "__isabstractmethod__", False)
)


class Gate(NamedTuple):
    """A gate, by the names of the descriptor's attributes that hold its data sources."""

    name: str
    input_weights: str
    recurrent_weights: str
    memory_weights: str | None


class _WeightSlot(Property[MPSCNNConvolutionDataSource | None]):
    """A property that holds a data source or None."""

    def __init__(self, symbol: str, role: str) -> None:
        super().__init__(_data_source, None, f"{symbol}: {role}. A data source, or None (the default) for zero.")


def _data_source(value: object, name: str) -> MPSCNNConvolutionDataSource | None:
    """Check that `value` is None or has the required methods of a data source."""
    if value is None:
        return None
    if isinstance(value, type):
        raise BadTypeError(f"{name}: got the class {value.__name__}, expected an instance of it")
    missing = [method for method in _REQUIRED_METHODS if not callable(getattr(value, method, None))]
    if missing:
        raise BadTypeError(
            f"{name}: got a {type(value).__name__} without {', '.join(f'{method}()' for method in missing)}, "
            "expected None or a data source (MPSCNNConvolutionDataSource)"
        )
    source: Any = value
    return source  # type: ignore[no-any-return]


def _output_neuron_type(value: object, name: str) -> MPSCNNNeuronType:
    """Check a neuron type that works without parameters per channel."""
    neuron_type = enum_member(value, name, MPSCNNNeuronType)
    if neuron_type == MPSCNNNeuronType.PRELU:
        raise BadArgumentError(f"{name}: got PRELU, expected a function with one set of parameters for all channels")
    return neuron_type


class MPSRNNDescriptor(PropertyHolder):
    """What the descriptors of all recurrent layers have in common; a layer takes one of the three subclasses."""

    __slots__ = ()

    GATES: ClassVar[tuple[Gate, ...]] = ()
    """The gates in the order in which layers pack them."""

    input_feature_channels = Property(integer, 0, "Channels of the input, 0 until set.")
    output_feature_channels = Property(
        integer, 0, "Channels of the output, the recurrent state and the memory cell, 0 until set."
    )
    use_layer_input_unit_transform_mode = Property(
        boolean,
        False,
        "The input itself takes the place of every W*x, even where W is None; biases and neurons still apply.",
    )
    use_float32_weights = Property(boolean, False, "Keep weights as float32 instead of float16.")
    layer_sequence_direction = Property(
        partial(enum_member, enum_type=MPSRNNSequenceDirection),
        MPSRNNSequenceDirection.FORWARD,
        "Direction of the layer, an `MPSRNNSequenceDirection`; only encoding a bidirectional sequence reads it.",
    )

    @classmethod
    def _with_channels(
        cls: type[_DescriptorT], with_input_feature_channels: int, output_feature_channels: int
    ) -> _DescriptorT:
        """Make a descriptor whose channels are set, to 1 or more."""
        descriptor = cls()
        descriptor.input_feature_channels = integer(
            with_input_feature_channels, "with_input_feature_channels", minimum=1
        )
        descriptor.output_feature_channels = integer(output_feature_channels, "output_feature_channels", minimum=1)
        return descriptor


class MPSRNNSingleGateDescriptor(MPSRNNDescriptor):
    """The plain recurrent layer: ``h1 = g(W*x + U*h0 + b)``."""

    __slots__ = ()

    GATES = (Gate("single gate", "input_weights", "recurrent_weights", None),)

    input_weights = _WeightSlot("W, b, g", "input weights, bias and neuron")
    recurrent_weights = _WeightSlot("U", "recurrent weights")

    @classmethod
    def create_rnn_single_gate_descriptor(
        cls: type[_DescriptorT], with_input_feature_channels: int, output_feature_channels: int
    ) -> _DescriptorT:
        """Make a descriptor with its channels set; both are at least 1."""
        return cls._with_channels(with_input_feature_channels, output_feature_channels)


class MPSGRUDescriptor(MPSRNNDescriptor):
    """The gated recurrent unit, of the kind that resets before the recurrent product.

    ::

        z  = gz(Wz*x + Uz*h0 + bz)                           "input gate", the update gate
        r  = gr(Wr*x + Ur*h0 + br)                           "recurrent gate", the reset gate
        h  = gh(Wh*x + Uh*(r · h0) + Vh*(z · h0) + bh)       "output gate", the candidate
        h1 = (1 - z^p)^(1/p) · h + z · h0

    With `flip_output_gates`, h and h0 trade places in the last line.
    """

    __slots__ = ()

    GATES = (
        Gate("input gate", "input_gate_input_weights", "input_gate_recurrent_weights", None),
        Gate("recurrent gate", "recurrent_gate_input_weights", "recurrent_gate_recurrent_weights", None),
        Gate(
            "output gate",
            "output_gate_input_weights",
            "output_gate_recurrent_weights",
            "output_gate_input_gate_weights",
        ),
    )

    input_gate_input_weights = _WeightSlot("Wz, bz, gz", "input weights, bias and neuron of the update gate z")
    input_gate_recurrent_weights = _WeightSlot("Uz", "recurrent weights of the update gate z")
    recurrent_gate_input_weights = _WeightSlot("Wr, br, gr", "input weights, bias and neuron of the reset gate r")
    recurrent_gate_recurrent_weights = _WeightSlot("Ur", "recurrent weights of the reset gate r")
    output_gate_input_weights = _WeightSlot("Wh, bh, gh", "input weights, bias and neuron of the candidate h")
    output_gate_recurrent_weights = _WeightSlot("Uh", "recurrent weights of the candidate h, which act on r · h0")
    output_gate_input_gate_weights = _WeightSlot("Vh", "input gate weights of the candidate h, which act on z · h0")
    gate_pnorm_value = Property(positive_real, 1.0, "p, above 0; 1 makes the first factor of the output 1 - z.")
    flip_output_gates = Property(boolean, False, "Exchange h and h0 in the output.")

    @classmethod
    def create_gru_descriptor(
        cls: type[_DescriptorT], with_input_feature_channels: int, output_feature_channels: int
    ) -> _DescriptorT:
        """Make a descriptor with its channels set; both are at least 1."""
        return cls._with_channels(with_input_feature_channels, output_feature_channels)


class MPSLSTMDescriptor(MPSRNNDescriptor):
    """The long short-term memory, with peepholes (memory weights V) on all four gates.

    ::

        I  = gi(Wi*x + Ui*h0 + Vi*c0 + bi)      input gate
        F  = gf(Wf*x + Uf*h0 + Vf*c0 + bf)      forget gate
        C  = gc(Wc*x + Uc*h0 + Vc*c0 + bc)      cell gate
        c1 = F · c0 + I · C
        O  = go(Wo*x + Uo*h0 + Vo*c1 + bo)      output gate, which sees the new cell
        h1 = O · gh(c1)
    """

    __slots__ = ()

    GATES = tuple(
        Gate(f"{gate} gate", *(f"{gate}_gate_{role}_weights" for role in ("input", "recurrent", "memory")))
        for gate in ("input", "forget", "cell", "output")
    )

    input_gate_input_weights = _WeightSlot("Wi, bi, gi", "input weights, bias and neuron of the input gate")
    input_gate_recurrent_weights = _WeightSlot("Ui", "recurrent weights of the input gate")
    input_gate_memory_weights = _WeightSlot("Vi", "memory weights of the input gate, which act on c0")
    forget_gate_input_weights = _WeightSlot("Wf, bf, gf", "input weights, bias and neuron of the forget gate")
    forget_gate_recurrent_weights = _WeightSlot("Uf", "recurrent weights of the forget gate")
    forget_gate_memory_weights = _WeightSlot("Vf", "memory weights of the forget gate, which act on c0")
    output_gate_input_weights = _WeightSlot("Wo, bo, go", "input weights, bias and neuron of the output gate")
    output_gate_recurrent_weights = _WeightSlot("Uo", "recurrent weights of the output gate")
    output_gate_memory_weights = _WeightSlot("Vo", "memory weights of the output gate, which act on c1")
    cell_gate_input_weights = _WeightSlot("Wc, bc, gc", "input weights, bias and neuron of the cell gate")
    cell_gate_recurrent_weights = _WeightSlot("Uc", "recurrent weights of the cell gate")
    cell_gate_memory_weights = _WeightSlot("Vc", "memory weights of the cell gate, which act on c0")
    memory_weights_are_diagonal = Property(
        boolean, False, "Memory weights are one factor per channel: V*c becomes V · c in all four gates."
    )
    cell_to_output_neuron_type = Property(
        _output_neuron_type, MPSCNNNeuronType.TANH, "gh, an `MPSCNNNeuronType` other than PRELU."
    )
    cell_to_output_neuron_param_a = Property(real, 1.0, "Parameter a of gh.")
    cell_to_output_neuron_param_b = Property(real, 1.0, "Parameter b of gh.")
    cell_to_output_neuron_param_c = Property(real, 1.0, "Parameter c of gh.")

    @classmethod
    def create_lstm_descriptor(
        cls: type[_DescriptorT], with_input_feature_channels: int, output_feature_channels: int
    ) -> _DescriptorT:
        """Make a descriptor with its channels set; both are at least 1."""
        return cls._with_channels(with_input_feature_channels, output_feature_channels)
