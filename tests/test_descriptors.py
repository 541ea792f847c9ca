"""Descriptors of recurrent layers: Apple's properties and defaults, checks at assignment, the order of the gates."""

from __future__ import annotations

import copy
import pydoc
from typing import Any

import numpy as np
import pytest

from mpsrnn_cy.descriptors import (
    Gate,
    MPSGRUDescriptor,
    MPSLSTMDescriptor,
    MPSRNNDescriptor,
    MPSRNNSingleGateDescriptor,
)
from mpsrnn_cy.enums import MPSCNNNeuronType, MPSRNNSequenceDirection
from mpsrnn_cy.errors import BadArgumentError, BadTypeError
from mpsrnn_cy.properties import Property
from mpsrnn_cy.weights import ArrayDataSource, MPSCNNConvolutionDataSource

COMMON: dict[str, Any] = {
    "input_feature_channels": 0,
    "output_feature_channels": 0,
    "use_layer_input_unit_transform_mode": False,
    "use_float32_weights": False,
    "layer_sequence_direction": MPSRNNSequenceDirection.FORWARD,
}
OWN: dict[type[MPSRNNDescriptor], dict[str, Any]] = {
    MPSRNNDescriptor: {},
    MPSRNNSingleGateDescriptor: {"input_weights": None, "recurrent_weights": None},
    MPSGRUDescriptor: {
        "input_gate_input_weights": None,
        "input_gate_recurrent_weights": None,
        "recurrent_gate_input_weights": None,
        "recurrent_gate_recurrent_weights": None,
        "output_gate_input_weights": None,
        "output_gate_recurrent_weights": None,
        "output_gate_input_gate_weights": None,
        "gate_pnorm_value": 1.0,
        "flip_output_gates": False,
    },
    MPSLSTMDescriptor: {
        **{
            f"{gate}_gate_{role}_weights": None
            for gate in ("input", "forget", "output", "cell")
            for role in ("input", "recurrent", "memory")
        },
        "memory_weights_are_diagonal": False,
        "cell_to_output_neuron_type": MPSCNNNeuronType.TANH,
        "cell_to_output_neuron_param_a": 1.0,
        "cell_to_output_neuron_param_b": 1.0,
        "cell_to_output_neuron_param_c": 1.0,
    },
}
FACTORIES = {
    MPSRNNSingleGateDescriptor: "create_rnn_single_gate_descriptor",
    MPSGRUDescriptor: "create_gru_descriptor",
    MPSLSTMDescriptor: "create_lstm_descriptor",
}
SLOTS = [(cls, name) for cls, own in OWN.items() for name, default in own.items() if default is None]


def by_name(value: Any) -> str | None:
    """Readable ids for classes."""
    return value.__name__ if isinstance(value, type) else None


@pytest.fixture
def source() -> ArrayDataSource:
    """A data source that every slot accepts."""
    return ArrayDataSource(np.zeros((4, 1, 1, 4), np.float32), label="zeros")


@pytest.mark.parametrize("cls", OWN, ids=by_name)
def test_properties_and_defaults_are_apples(cls: type[MPSRNNDescriptor]) -> None:
    found = {
        name: getattr(cls(), name) for base in cls.__mro__ for name, m in vars(base).items() if isinstance(m, Property)
    }
    assert found == {**COMMON, **OWN[cls]}


@pytest.mark.parametrize("cls", FACTORIES, ids=by_name)
def test_factory_sets_the_channels(cls: type[MPSRNNDescriptor]) -> None:
    factory = getattr(cls, FACTORIES[cls])
    descriptor = factory(with_input_feature_channels=3, output_feature_channels=8)
    assert type(descriptor) is cls
    assert (descriptor.input_feature_channels, descriptor.output_feature_channels) == (3, 8)
    with pytest.raises(BadArgumentError, match=r"^with_input_feature_channels: got 0, expected an int from 1 to"):
        factory(0, 8)
    with pytest.raises(BadTypeError, match=r"^output_feature_channels: got 8.0 \(float\), expected an int$"):
        factory(3, 8.0)


@pytest.mark.parametrize(("cls", "name"), SLOTS, ids=by_name)
def test_slot_holds_a_source_or_none(cls: type[MPSRNNDescriptor], name: str, source: ArrayDataSource) -> None:
    descriptor = cls()
    setattr(descriptor, name, source)
    assert getattr(descriptor, name) is source
    setattr(descriptor, name, None)
    assert getattr(descriptor, name) is None


@pytest.mark.parametrize(("cls", "name"), SLOTS, ids=by_name)
def test_slot_names_what_is_missing(cls: type[MPSRNNDescriptor], name: str) -> None:
    with pytest.raises(BadTypeError) as error:
        setattr(cls(), name, np.zeros((4, 1, 1, 4)))
    assert str(error.value) == (
        f"{cls.__name__}.{name}: got a ndarray without data_type(), descriptor(), weights(), bias_terms(), load(), "
        "purge(), label(), expected None or a data source (MPSCNNConvolutionDataSource)"
    )


def test_slot_takes_any_object_with_the_methods() -> None:
    class Duck:
        """Has the required methods and inherits nothing."""

    for name in ("data_type", "descriptor", "weights", "bias_terms", "load", "purge"):
        setattr(Duck, name, lambda self: None)
    descriptor = MPSRNNSingleGateDescriptor()
    duck: Any = Duck()
    with pytest.raises(BadTypeError, match=r"input_weights: got a Duck without label\(\), expected"):
        descriptor.input_weights = duck
    Duck.label = "a string is no method"
    with pytest.raises(BadTypeError, match=r"got a Duck without label\(\)"):
        descriptor.input_weights = duck
    Duck.label = lambda self: None
    descriptor.input_weights = duck
    assert descriptor.input_weights is duck


def test_slot_refuses_a_class() -> None:
    descriptor = MPSRNNSingleGateDescriptor()
    message = (
        r"^MPSRNNSingleGateDescriptor.recurrent_weights: got the class ArrayDataSource, expected an instance of it$"
    )
    with pytest.raises(BadTypeError, match=message):
        descriptor.recurrent_weights = ArrayDataSource  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("cls", "name", "value", "exception", "message"),
    [
        (
            MPSRNNDescriptor,
            "input_feature_channels",
            -1,
            BadArgumentError,
            "got -1, expected an int from 0 to 2147483647",
        ),
        (MPSRNNDescriptor, "output_feature_channels", True, BadTypeError, r"got True \(bool\), expected an int"),
        (MPSRNNDescriptor, "use_layer_input_unit_transform_mode", 1, BadTypeError, r"got 1 \(int\), expected a bool"),
        (MPSRNNDescriptor, "use_float32_weights", None, BadTypeError, r"got None \(NoneType\), expected a bool"),
        (MPSRNNDescriptor, "layer_sequence_direction", 2, BadArgumentError, "got 2, expected a case of MPSRNNSequence"),
        (MPSGRUDescriptor, "gate_pnorm_value", 0.0, BadArgumentError, "got 0.0, expected a number above 0"),
        (MPSGRUDescriptor, "gate_pnorm_value", float("nan"), BadArgumentError, "got nan, expected a finite number"),
        (MPSGRUDescriptor, "gate_pnorm_value", "1", BadTypeError, r"got '1' \(str\), expected a float"),
        (MPSGRUDescriptor, "flip_output_gates", 0, BadTypeError, r"got 0 \(int\), expected a bool"),
        (MPSLSTMDescriptor, "memory_weights_are_diagonal", "no", BadTypeError, r"got 'no' \(str\), expected a bool"),
        (
            MPSLSTMDescriptor,
            "cell_to_output_neuron_type",
            17,
            BadArgumentError,
            "got 17, expected a case of MPSCNNNeuron",
        ),
        (
            MPSLSTMDescriptor,
            "cell_to_output_neuron_type",
            16,
            BadArgumentError,
            "got 16, expected a case of MPSCNNNeuron",
        ),
        (
            MPSLSTMDescriptor,
            "cell_to_output_neuron_type",
            10,
            BadArgumentError,
            "got PRELU, expected a function with one",
        ),
        (MPSLSTMDescriptor, "cell_to_output_neuron_param_a", 1e39, BadArgumentError, r"got 1e\+39, expected a finite"),
        (
            MPSLSTMDescriptor,
            "cell_to_output_neuron_param_b",
            None,
            BadTypeError,
            r"got None \(NoneType\), expected a float",
        ),
        (MPSLSTMDescriptor, "cell_to_output_neuron_param_c", -np.inf, BadArgumentError, "got -inf, expected a finite"),
    ],
)
def test_setters_refuse_at_once(
    cls: type[MPSRNNDescriptor], name: str, value: Any, exception: type[Exception], message: str
) -> None:
    descriptor = cls()
    before = getattr(descriptor, name)
    with pytest.raises(exception, match=f"^{cls.__name__}.{name}: {message}"):
        setattr(descriptor, name, value)
    assert getattr(descriptor, name) == before


def test_enums_may_be_given_as_integers() -> None:
    descriptor = MPSLSTMDescriptor()
    descriptor.layer_sequence_direction = 1  # type: ignore[assignment]
    descriptor.cell_to_output_neuron_type = np.int32(3)  # type: ignore[assignment]
    assert descriptor.layer_sequence_direction is MPSRNNSequenceDirection.BACKWARD
    assert descriptor.cell_to_output_neuron_type is MPSCNNNeuronType.SIGMOID


def test_numbers_and_flags_are_kept() -> None:
    descriptor = MPSGRUDescriptor()
    descriptor.gate_pnorm_value = np.float32(1.5)  # type: ignore[assignment]
    descriptor.flip_output_gates = True
    descriptor.use_float32_weights = True
    descriptor.use_layer_input_unit_transform_mode = True
    assert descriptor.gate_pnorm_value == 1.5
    assert descriptor.flip_output_gates is descriptor.use_float32_weights is True
    assert descriptor.use_layer_input_unit_transform_mode is True


def test_misspelt_properties_are_errors() -> None:
    for cls in OWN:
        with pytest.raises(AttributeError, match="gate_p_norm_value"):
            cls().gate_p_norm_value = 2.0  # type: ignore[attr-defined]


def test_gates_of_the_single_gate_layer() -> None:
    assert MPSRNNDescriptor.GATES == ()
    assert (Gate("single gate", "input_weights", "recurrent_weights", None),) == MPSRNNSingleGateDescriptor.GATES


def test_gates_of_the_gru_are_update_reset_candidate() -> None:
    assert [gate.name for gate in MPSGRUDescriptor.GATES] == ["input gate", "recurrent gate", "output gate"]
    assert [gate.memory_weights for gate in MPSGRUDescriptor.GATES] == [None, None, "output_gate_input_gate_weights"]


def test_gates_of_the_lstm_are_input_forget_cell_output() -> None:
    assert (
        tuple(
            Gate(
                f"{gate} gate",
                f"{gate}_gate_input_weights",
                f"{gate}_gate_recurrent_weights",
                f"{gate}_gate_memory_weights",
            )
            for gate in ("input", "forget", "cell", "output")
        )
        == MPSLSTMDescriptor.GATES
    )


@pytest.mark.parametrize("cls", FACTORIES, ids=by_name)
def test_gates_name_every_slot_once(cls: type[MPSRNNDescriptor]) -> None:
    named = [slot for gate in cls.GATES for slot in gate[1:] if slot is not None]
    assert sorted(named) == sorted(name for owner, name in SLOTS if owner is cls)


@pytest.mark.parametrize(("cls", "name"), SLOTS, ids=by_name)
def test_slots_are_documented_with_their_symbol(cls: type[MPSRNNDescriptor], name: str) -> None:
    kind = {"input_weights": "W", "recurrent_weights": "U", "memory_weights": "V", "input_gate_weights": "V"}
    symbol = next(s for suffix, s in kind.items() if name == suffix or name.endswith(f"_gate_{suffix}"))
    assert getattr(cls, name).__doc__.startswith(symbol)
    assert getattr(cls, name).__doc__ in pydoc.render_doc(cls, renderer=pydoc.plaintext).replace("\n |      ", " ")


def test_copies_are_independent(source: ArrayDataSource) -> None:
    descriptor = MPSGRUDescriptor.create_gru_descriptor(4, 4)
    descriptor.output_gate_input_gate_weights = source
    copied = copy.copy(descriptor)
    copied.flip_output_gates = True
    assert copied.output_gate_input_gate_weights is source
    assert not descriptor.flip_output_gates


def test_subclasses_work_without_calling_init() -> None:
    class Mine(MPSRNNSingleGateDescriptor):
        """Adds an attribute of its own."""

        def __init__(self) -> None:
            self.note = "mine"

    mine = Mine.create_rnn_single_gate_descriptor(1, 2)
    assert mine.note == "mine"
    assert mine.output_feature_channels == 2


def test_repr_tells_what_was_set(source: ArrayDataSource) -> None:
    descriptor = MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(4, 4)
    descriptor.recurrent_weights = source
    assert repr(descriptor) == (
        "MPSRNNSingleGateDescriptor(input_feature_channels=4, output_feature_channels=4, "
        "recurrent_weights=ArrayDataSource((4, 1, 1, 4) float32, label='zeros'))"
    )


def test_protocol_as_a_base_class_demands_its_methods() -> None:
    class Half(MPSCNNConvolutionDataSource):
        """Implements nothing."""

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]
