"""What the constructor of the image layer refuses: the exception, its words, and that nothing is left of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
from recorder import COUNT, GIVEN, Recorder, descriptor
from refusal import refused

Value, Type = mps.BadArgumentError, mps.BadTypeError
Layer = mps.MPSRNNImageInferenceLayer

single_gate = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor
gru = mps.MPSGRUDescriptor.create_gru_descriptor
lstm = mps.MPSLSTMDescriptor.create_lstm_descriptor


def unit_transform(inputs: int, outputs: int) -> mps.MPSRNNDescriptor:
    made = single_gate(inputs, outputs)
    made.use_layer_input_unit_transform_mode = True
    return made


KINDS = r"expected an MPSRNNSingleGateDescriptor, MPSGRUDescriptor or MPSLSTMDescriptor$"
NEITHER_OR_BOTH = r"^rnn_descriptor: got neither or both of rnn_descriptor and rnn_descriptors, expected one of them$"
CONSTRUCTIONS: dict[str, tuple[dict[str, Any], type[mps.Error], str]] = {
    "device None": ({"device": None}, Type, r"^device: got None \(NoneType\), expected MTLDevice$"),
    "device str": ({"device": "gpu"}, Type, r"^device: got 'gpu' \(str\), expected MTLDevice$"),
    "neither": ({"rnn_descriptor": None}, Type, NEITHER_OR_BOTH),
    "both": ({"rnn_descriptors": [single_gate(1, 1)]}, Type, NEITHER_OR_BOTH),
    "int": ({"rnn_descriptor": 3}, Type, r"^rnn_descriptor: got 3 \(int\), expected an MPSRNNDescriptor or a list"),
    "class": ({"rnn_descriptor": mps.MPSGRUDescriptor}, Type, r"^rnn_descriptor: got <class .*GRU.*expected an "),
    "one for several": (
        {"rnn_descriptor": None, "rnn_descriptors": single_gate(1, 1)},
        Type,
        r"^rnn_descriptors: got .*\(MPSRNNSingleGateDescriptor\), expected a list of MPSRNNDescriptor$",
    ),
    "empty": ({"rnn_descriptor": []}, Value, r"^rnn_descriptor: got an empty list, expected at least one descriptor$"),
    "empty stack": (
        {"rnn_descriptor": None, "rnn_descriptors": ()},
        Value,
        r"^rnn_descriptors: got an empty list, expected at least one descriptor$",
    ),
    "list of int": ({"rnn_descriptor": [3]}, Type, rf"^rnn_descriptors\[0\]: got 3 \(int\), {KINDS}"),
    "list with None": (
        {"rnn_descriptor": [single_gate(1, 1), None]},
        Type,
        rf"^rnn_descriptors\[1\]: got None \(NoneType\), {KINDS}",
    ),
    "base class": (
        {"rnn_descriptor": mps.MPSRNNDescriptor()},
        Type,
        rf"^rnn_descriptors\[0\]: got MPSRNNDescriptor\(\) \(MPSRNNDescriptor\), {KINDS}",
    ),
    "channels not set": (
        {"rnn_descriptor": mps.MPSGRUDescriptor()},
        Value,
        r"^rnn_descriptors\[0\]: got 0 input and 0 output channels, expected at least 1 of each$",
    ),
    "stack that does not fit": (
        {"rnn_descriptor": [single_gate(1, 2), lstm(2, 3), gru(4, 3)]},
        Value,
        r"^rnn_descriptors\[2\]: got 4 input channels, expected the 3 output channels of the layer below$",
    ),
    "unit transform of unequal channels": (
        {"rnn_descriptor": [single_gate(1, 2), unit_transform(2, 3)]},
        Value,
        r"^rnn_descriptors\[1\]: got 2 input and 3 output channels, expected equal numbers in unit-transform mode",
    ),
}


@pytest.mark.parametrize("case", CONSTRUCTIONS.values(), ids=CONSTRUCTIONS)
def test_bad_construction(
    device: mps.MTLDevice, no_leaks: None, case: tuple[dict[str, Any], type[mps.Error], str]
) -> None:
    changes, error, words = case
    refused(lambda: Layer(**{"device": device, "rnn_descriptor": single_gate(1, 1), **changes}), error, words)


SLOTS = [
    (make, slot)
    for make, kind in [
        (single_gate, mps.MPSRNNSingleGateDescriptor),
        (gru, mps.MPSGRUDescriptor),
        (lstm, mps.MPSLSTMDescriptor),
    ]
    for gate in kind.GATES
    for slot in (gate.input_weights, gate.recurrent_weights, gate.memory_weights)
    if slot is not None
]


@pytest.mark.parametrize(("make", "slot"), SLOTS)
def test_message_names_the_slot(
    device: mps.MTLDevice, no_leaks: None, make: Callable[[int, int], mps.MPSRNNDescriptor], slot: str
) -> None:
    made = make(8, 8)
    setattr(made, slot, Recorder(load=False))
    words = rf"^rnn_descriptors\[1\]\.{slot} \(Recorder\): load\(\) returned False, expected True$"
    refused(lambda: Layer(device, [single_gate(4, 8), made]), Value, words)


def weights_with(number: float) -> np.ndarray:
    changed = GIVEN.copy()
    changed[3, 1, 0, 2] = number
    return changed


COUNT_WORDS = rf"expected {4 * COUNT} bytes \({COUNT} elements\) of float32$"
# What one source answers, and the end of the message, which begins with the slot.
FAILURES: dict[str, tuple[dict[str, Any], type[mps.Error], str]] = {
    "load None": ({"load": None}, Type, r" \(Recorder\): load\(\) returned None \(NoneType\), expected a bool$"),
    "load 1": ({"load": 1}, Type, r" \(Recorder\): load\(\) returned 1 \(int\), expected a bool$"),
    "load raises": ({"load": OSError("no file")}, Value, r" \(Recorder\): load\(\) raised OSError: no file$"),
    "label 3": ({"label": 3}, Type, r" \(Recorder\): label\(\): got 3 \(int\), expected str$"),
    "descriptor None": (
        {"descriptor": None},
        Type,
        r": descriptor\(\): got None \(NoneType\), expected MPSCNN",
    ),
    "other channels": (
        {"descriptor": descriptor(2, 3, 5, 8)},
        Value,
        r": got 5 input and 8 output channels, expected 4 and 8$",
    ),
    "stride": (
        {"descriptor": descriptor(stride_in_pixels_x=2)},
        Value,
        r": got stride \(1, 2\) \(y, x\), expected \(1, 1\)",
    ),
    "window wider than the kernels reach": (
        {"descriptor": descriptor(dilation_rate_x=2**14)},
        Value,
        r": got .*16384.*32767",
    ),
    "data type None": (
        {"data_type": None},
        Type,
        r": data_type\(\): got None \(NoneType\), expected a case of MPSDataType$",
    ),
    "data type int8": (
        {"data_type": mps.MPSDataType.INT8},
        Value,
        r": data_type\(\) is INT8, expected UINT8, FLOAT16 or FLOAT32$",
    ),
    "uint8 alone": (
        {"data_type": mps.MPSDataType.UINT8, "weights": bytes(COUNT)},
        Value,
        r": got neither of ranges_for_uint8_kernel\(\) and lookup_table_for_uint8_kernel\(\) for UINT8 weights",
    ),
    "weights None": ({"weights": None}, Type, r": weights\(\): got a NoneType, expected a buffer of float32 "),
    "weights list": ({"weights": [0.0] * COUNT}, Type, r": weights\(\): got a list, expected a buffer of float32 "),
    "weights short": (
        {"weights": bytes(4 * COUNT - 4)},
        Value,
        rf": weights\(\): got {4 * COUNT - 4} bytes, {COUNT_WORDS}",
    ),
    "weights float64": (
        {"weights": GIVEN.astype(float)},
        Type,
        r": weights\(\): got elements of float64, expected float32$",
    ),
    "weights big-endian": (
        {"weights": GIVEN.astype(">f4")},
        Type,
        r": weights\(\): got elements of float32 in foreign",
    ),
    "weights transposed": (
        {"weights": np.ascontiguousarray(GIVEN.T)},
        Value,
        r": weights\(\): got shape \(4, 2, 3, 8\), expected \(8, 3, 2, 4\)",
    ),
    "weights raise": ({"weights": KeyError("w")}, Value, r": weights\(\) raised KeyError: 'w'$"),
    "NaN": (
        {"weights": weights_with(np.nan)},
        Value,
        r": weights\(\): got nan at index \(3, 1, 0, 2\), expected finite numbers$",
    ),
    "infinity": (
        {"weights": weights_with(-np.inf)},
        Value,
        r": weights\(\): got -inf at index \(3, 1, 0, 2\), expected",
    ),
    "beyond half": (
        {"weights": weights_with(-65520.0)},
        Value,
        r": got a weight of magnitude 65520, expected at most 65504 for float16; use_float32_weights=True keeps",
    ),
    "bias short": (
        {"bias_terms": np.zeros(7, np.float32)},
        Value,
        r": bias_terms\(\): got 28 bytes, expected 32 bytes \(8 elements\) of float32$",
    ),
    "bias float64": (
        {"bias_terms": np.zeros(8)},
        Type,
        r": bias_terms\(\): got elements of float64, expected float32$",
    ),
    "bias NaN": (
        {"bias_terms": np.full(8, np.nan, np.float32)},
        Value,
        r": bias_terms\(\): got nan at index \(0,\), ",
    ),
    "purge raises": ({"purge": OSError("busy")}, Value, r": purge\(\) raised OSError: busy$"),
}


@pytest.mark.parametrize("case", FAILURES.values(), ids=FAILURES)
def test_bad_source(device: mps.MTLDevice, no_leaks: None, case: tuple[dict[str, Any], type[mps.Error], str]) -> None:
    answers, error, words = case
    good, bad = Recorder(), Recorder(**answers)
    made = lstm(4, 8)
    made.input_gate_input_weights, made.forget_gate_input_weights = good, bad
    slot = r"^rnn_descriptors\[0\]\.forget_gate_input_weights"
    cause = refused(
        lambda: Layer(device, made), error, slot + (r" \('conv1'\)" if words.startswith(":") else "") + words
    )
    raised = [answer for answer in answers.values() if isinstance(answer, Exception)]
    if raised:
        assert cause is raised[0]
    assert (good.calls.count("load"), good.calls.count("purge")) == (1, 1)
    assert bad.calls.count("purge") == (bad.answers["load"] is True)


def test_a_weight_beyond_half_is_kept_as_float32(device: mps.MTLDevice) -> None:
    made = lstm(4, 8)
    made.forget_gate_input_weights = Recorder(weights=weights_with(-65520.0))
    made.use_float32_weights = True
    assert Layer(device, made).number_of_layers == 1


NEURON = mps.MPSNNNeuronDescriptor.cnn_neuron_descriptor
FINITE = r"expected a finite number in the range of float32$"
ABOVE_0 = r"expected a number above 0 in float32$"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 1e39])
def test_neuron_parameters_are_finite(number: float) -> None:
    for name in ("a", "b", "c"):
        refused(
            lambda name=name: NEURON(mps.MPSCNNNeuronType.LINEAR, **{name: number}),
            Value,
            rf"^{name}: got .*, {FINITE}",
        )
    neuron, made = NEURON(mps.MPSCNNNeuronType.TANH), lstm(1, 1)
    refused(lambda: setattr(neuron, "b", number), Value, rf"^MPSNNNeuronDescriptor\.b: got .*, {FINITE}")
    name = "cell_to_output_neuron_param_a"
    refused(lambda: setattr(made, name, number), Value, rf"^MPSLSTMDescriptor\.{name}: got .*, {FINITE}")
    assert (neuron.b, made.cell_to_output_neuron_param_a) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("number", "words"),
    [(0.0, ABOVE_0), (-1.0, ABOVE_0), (1e-60, ABOVE_0), (float("nan"), FINITE), (float("inf"), FINITE)],
)
def test_p_norm_is_finite_and_above_0(number: float, words: str) -> None:
    made = gru(1, 1)
    refused(
        lambda: setattr(made, "gate_pnorm_value", number), Value, rf"^MPSGRUDescriptor\.gate_pnorm_value: .*{words}"
    )
    assert made.gate_pnorm_value == 1.0
