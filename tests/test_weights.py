"""The data source over NumPy arrays: what it keeps, delivers and refuses."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mpsrnn_cy.convolution import MPSNNNeuronDescriptor
from mpsrnn_cy.enums import (
    MPSCNNConvolutionWeightsLayout,
    MPSCNNNeuronType,
    MPSCNNWeightsQuantizationType,
    MPSDataType,
)
from mpsrnn_cy.errors import BadArgumentError, BadTypeError
from mpsrnn_cy.weights import ArrayDataSource, MPSCNNConvolutionDataSource

SHAPE = (8, 3, 5, 4)


def ramp(dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """Make weights of `SHAPE`, all different up to the range of the type."""
    return np.arange(np.prod(SHAPE), dtype=np.int64).reshape(SHAPE).astype(dtype)


def test_delivers_what_it_was_given() -> None:
    neuron = MPSNNNeuronDescriptor.cnn_neuron_descriptor(MPSCNNNeuronType.SIGMOID)
    bias = np.arange(8, dtype=np.float32)
    source: MPSCNNConvolutionDataSource = ArrayDataSource(
        ramp(), bias, neuron, dilation_rate=(2, 3), groups=2, label="gate"
    )
    assert source.load() is True
    assert source.label() == "gate"
    assert source.data_type() is MPSDataType.FLOAT32
    np.testing.assert_array_equal(source.weights(), ramp())
    np.testing.assert_array_equal(source.bias_terms(), bias)
    descriptor = source.descriptor()
    assert (descriptor.kernel_height, descriptor.kernel_width) == (3, 5)
    assert (descriptor.input_feature_channels, descriptor.output_feature_channels, descriptor.groups) == (8, 8, 2)
    assert (descriptor.dilation_rate_y, descriptor.dilation_rate_x) == (2, 3)
    assert descriptor.fused_neuron_descriptor == neuron
    source.purge()


def test_defaults() -> None:
    source = ArrayDataSource(ramp(np.float16))
    assert source.data_type() is MPSDataType.FLOAT16
    assert source.bias_terms() is None
    assert source.label() is None
    assert source.ranges_for_uint8_kernel() is None
    assert source.lookup_table_for_uint8_kernel() is None
    assert source.weights_quantization_type() is MPSCNNWeightsQuantizationType.NONE
    assert source.weights_layout() is MPSCNNConvolutionWeightsLayout.OHWI
    assert source.copy(device=None) is source
    descriptor = source.descriptor()
    assert descriptor.fused_neuron_descriptor.neuron_type is MPSCNNNeuronType.NONE
    assert (descriptor.groups, descriptor.dilation_rate_x, descriptor.dilation_rate_y) == (1, 1, 1)


@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_copies_are_contiguous_read_only_and_detached(order: str) -> None:
    given = np.repeat(ramp(), 2, axis=3)[..., ::2] if order == "strided" else np.array(ramp(), order=order)
    bias = np.ones(8, np.float32)
    source = ArrayDataSource(given, bias)
    given[:] = -1
    bias[:] = -1
    np.testing.assert_array_equal(source.weights(), ramp())
    np.testing.assert_array_equal(source.bias_terms(), np.ones(8))
    assert source.weights().flags.c_contiguous
    assert not source.weights().flags.writeable
    assert not source.bias_terms().flags.writeable


def test_later_changes_of_neuron_or_descriptor_do_not_reach_the_source() -> None:
    neuron = MPSNNNeuronDescriptor.cnn_neuron_descriptor(MPSCNNNeuronType.RELU, 0.5)
    source = ArrayDataSource(ramp(), neuron=neuron)
    neuron.a = 9.0
    source.descriptor().groups = 7
    assert source.descriptor().fused_neuron_descriptor.a == 0.5
    assert source.descriptor().groups == 1


def test_half_bias_is_widened() -> None:
    bias = ArrayDataSource(ramp(), np.arange(8, dtype=np.float16) / 3).bias_terms()
    assert bias is not None
    assert bias.dtype == np.float32
    np.testing.assert_array_equal(bias, (np.arange(8, dtype=np.float16) / 3).astype(np.float32))


def test_quantised_weights() -> None:
    ranges = np.stack([np.zeros(8), np.ones(8)], axis=1).astype(np.float32)
    linear = ArrayDataSource(ramp(np.uint8), ranges=ranges)
    assert linear.data_type() is MPSDataType.UINT8
    assert linear.weights_quantization_type() is MPSCNNWeightsQuantizationType.LINEAR
    np.testing.assert_array_equal(linear.ranges_for_uint8_kernel(), ranges)
    table = np.linspace(-1, 1, 256, dtype=np.float32)
    looked_up = ArrayDataSource(ramp(np.uint8), lookup_table=table)
    assert looked_up.weights_quantization_type() is MPSCNNWeightsQuantizationType.LOOKUP_TABLE
    np.testing.assert_array_equal(looked_up.lookup_table_for_uint8_kernel(), table)


def test_pickled_source_is_read_only_again() -> None:
    source = ArrayDataSource(np.ones((2, 1, 1, 3), np.float32), np.ones(2, np.float32), label="W")
    back = pickle.loads(pickle.dumps(source))
    assert repr(back) == repr(source)
    np.testing.assert_array_equal(back.weights(), source.weights(), strict=True)
    assert not back.weights().flags.writeable
    assert not back.bias_terms().flags.writeable


@pytest.mark.parametrize("copier", [ArrayDataSource.copy, copy.copy, copy.deepcopy])
def test_a_copy_is_the_source_itself(copier: Any) -> None:
    source = ArrayDataSource(np.ones((2, 1, 1, 3), np.float32))
    assert copier(source) is source


def test_type_of_kernel_weights_is_apples_default() -> None:
    assert ArrayDataSource(np.ones((2, 1, 1, 3), np.float32)).kernel_weights_data_type() is MPSDataType.FLOAT16


def test_repr() -> None:
    assert repr(ArrayDataSource(ramp())) == "ArrayDataSource((8, 3, 5, 4) float32)"
    assert repr(ArrayDataSource(ramp(), label="z")) == "ArrayDataSource((8, 3, 5, 4) float32, label='z')"


def with_nan() -> npt.NDArray[Any]:
    """Make weights of which one is NaN."""
    weights = ramp()
    weights[1, 2, 3, 0] = np.nan
    return weights


PRELU = MPSNNNeuronDescriptor.cnn_neuron_prelu_descriptor(np.ones(3, np.float32))
TABLE = np.zeros(256, np.float32)
RANGES = np.zeros((8, 2), np.float32)
REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "list": ({"weights": [[[[1.0]]]]}, BadTypeError, r"weights: got \[\[\[\[1.0\]\]\]\] \(list\), expected ndarray"),
    "float64": (
        {"weights": ramp(np.float64)},
        BadTypeError,
        "weights: got an array of float64, expected one of float16, float32, uint8",
    ),
    "big-endian": (
        {"weights": ramp(">f4")},
        BadTypeError,
        "weights: got an array of float32 in foreign byte order, expected one of float16, float32, uint8",
    ),
    "rank": (
        {"weights": np.zeros((8, 4), np.float32)},
        BadArgumentError,
        r"weights: got shape \(8, 4\), expected four axes above 0: \(output channels, kernel height, kernel width, ",
    ),
    "empty": ({"weights": np.zeros((8, 0, 3, 4), np.float32)}, BadArgumentError, r"weights: got shape \(8, 0, 3, 4\)"),
    "nan": ({"weights": with_nan()}, BadArgumentError, r"weights: got nan at index \(1, 2, 3, 0\), expected finite"),
    "bias list": ({"bias": [0.0] * 8}, BadTypeError, r"bias: got \[.*\] \(list\), expected ndarray"),
    "bias float64": (
        {"bias": np.zeros(8)},
        BadTypeError,
        "bias: got an array of float64, expected one of float16, float32",
    ),
    "bias length": ({"bias": np.zeros(7, np.float32)}, BadArgumentError, r"bias: got shape \(7,\), expected \(8,\)"),
    "bias inf": (
        {"bias": np.full(8, np.inf, np.float32)},
        BadArgumentError,
        r"bias: got inf at index \(0,\), expected finite numbers",
    ),
    "neuron type": (
        {"neuron": MPSCNNNeuronType.RELU},
        BadTypeError,
        r"neuron: got .*RELU.* \(MPSCNNNeuronType\), expected MPSNNNeuronDescriptor",
    ),
    "prelu length": (
        {"neuron": PRELU},
        BadArgumentError,
        "neuron: got PReLU data of 3 channels, expected 8, one per output channel",
    ),
    "groups zero": ({"groups": 0}, BadArgumentError, "groups: got 0, expected an int from 1 to"),
    "groups float": ({"groups": 2.0}, BadTypeError, r"groups: got 2.0 \(float\), expected an int"),
    "groups of outputs": (
        {"groups": 4},
        BadArgumentError,
        "groups: got 4 groups for 8 output channels, expected each group to hold a multiple of 4 channels",
    ),
    "dilation type": ({"dilation_rate": 2}, BadTypeError, r"dilation_rate: got 2 \(int\), expected tuple"),
    "dilation length": (
        {"dilation_rate": (1, 1, 1)},
        BadArgumentError,
        r"dilation_rate: got \(1, 1, 1\), expected two ints, \(y, x\)",
    ),
    "dilation zero": (
        {"dilation_rate": (1, 0)},
        BadArgumentError,
        r"dilation_rate\[1\]: got 0, expected an int from 1",
    ),
    "label": ({"label": 3}, BadTypeError, r"label: got 3 \(int\), expected str"),
    "uint8 alone": (
        {"weights": ramp(np.uint8)},
        BadArgumentError,
        "ranges, lookup_table: got 0 of them for weights of uint8, expected exactly one for uint8 and none for other",
    ),
    "uint8 with both": (
        {"weights": ramp(np.uint8), "ranges": RANGES, "lookup_table": TABLE},
        BadArgumentError,
        "ranges, lookup_table: got 2 of them for weights of uint8",
    ),
    "float with ranges": (
        {"ranges": RANGES},
        BadArgumentError,
        "ranges, lookup_table: got 1 of them for weights of float32, expected exactly one for uint8 and none for other",
    ),
    "ranges shape": (
        {"weights": ramp(np.uint8), "ranges": RANGES.T},
        BadArgumentError,
        r"ranges: got shape \(2, 8\), expected \(8, 2\)",
    ),
    "table shape": (
        {"weights": ramp(np.uint8), "lookup_table": TABLE[:255]},
        BadArgumentError,
        r"lookup_table: got shape \(255,\), expected \(256,\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    changes, exception, message = REFUSED[case]
    with pytest.raises(exception, match=f"^{message}"):
        ArrayDataSource(**{"weights": ramp(), **changes})
