"""Reading data sources: the protocol and the arithmetic."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from mpsrnn_cy.convolution import MPSNNNeuronDescriptor
from mpsrnn_cy.enums import MPSCNNConvolutionWeightsLayout, MPSCNNNeuronType, MPSDataType
from mpsrnn_cy.weight_reader import SourceRole
from mpsrnn_cy.weights import ArrayDataSource
from recorder import COUNT, GIVEN, SHAPE, Recorder, descriptor, read


def test_input_source_delivers_everything() -> None:
    neuron = MPSNNNeuronDescriptor.cnn_neuron_descriptor(MPSCNNNeuronType.RELUN, 0.25, 3.0)
    bias = np.arange(8, dtype=np.float32)
    result = read(ArrayDataSource(GIVEN, bias, neuron, dilation_rate=(2, 5)))
    np.testing.assert_array_equal(result.weights, GIVEN)
    np.testing.assert_array_equal(result.bias, bias)
    assert (result.neuron.type, result.neuron.a, result.neuron.b) == (MPSCNNNeuronType.RELUN, 0.25, 3.0)
    assert result.neuron.data is None
    assert (result.dilation, result.groups) == ((2, 5), 1)
    assert (result.output_channels, result.kernel_height, result.kernel_width, result.input_channels) == SHAPE
    for delivered in (result.weights, result.bias):
        assert delivered is not None
        assert delivered.flags.c_contiguous
        assert not delivered.flags.writeable


def test_order_of_the_calls() -> None:
    source = Recorder()
    read(source)
    assert source.calls[:2] == ["load", "label"]
    assert sorted(source.calls[2:-1]) == ["bias_terms", "data_type", "descriptor", "weights"]
    assert source.calls[-1] == "purge"


@pytest.mark.parametrize("role", [SourceRole.RECURRENT, SourceRole.MEMORY])
def test_bias_and_neuron_of_other_roles_are_not_read(role: SourceRole) -> None:
    prelu = MPSNNNeuronDescriptor.cnn_neuron_prelu_descriptor(np.ones(3, np.float32))
    source = Recorder(bias_terms=ValueError("not to be asked"), descriptor=descriptor(fused_neuron_descriptor=prelu))
    result = read(source, role=role)
    assert "bias_terms" not in source.calls
    assert result.bias is None
    assert result.neuron.type is MPSCNNNeuronType.NONE
    np.testing.assert_array_equal(result.weights, GIVEN)


def test_prelu_data_is_copied() -> None:
    slopes = np.linspace(0, 1, 8, dtype=np.float32)
    prelu = MPSNNNeuronDescriptor.cnn_neuron_prelu_descriptor(slopes, no_copy=True)
    result = read(Recorder(descriptor=descriptor(fused_neuron_descriptor=prelu)))
    expected = slopes.copy()
    slopes[:] = 5
    assert result.neuron.data is not None
    np.testing.assert_array_equal(result.neuron.data, expected)


@pytest.mark.parametrize(
    "weights",
    [
        GIVEN,
        GIVEN.ravel(),
        GIVEN.reshape(1, *SHAPE),
        GIVEN.tobytes(),
        bytearray(GIVEN.tobytes()),
        memoryview(GIVEN),
        array.array("f", GIVEN.ravel().tolist()),
    ],
    ids=["array", "flat", "extra axis", "bytes", "bytearray", "memoryview", "array.array"],
)
def test_weights_may_be_any_buffer(weights: Any) -> None:
    result = read(Recorder(weights=weights, bias_terms=bytes(32)))
    np.testing.assert_array_equal(result.weights, GIVEN)
    np.testing.assert_array_equal(result.bias, np.zeros(8))


def test_nothing_refers_to_the_memory_of_the_source_when_it_is_purged() -> None:
    class Frugal(ArrayDataSource):
        """Delivers memory that it takes back in `purge`; a view left on it would make that fail."""

        memory = bytearray(GIVEN.tobytes())

        def weights(self) -> Any:
            return self.memory

        def purge(self) -> None:
            self.memory.clear()

    np.testing.assert_array_equal(read(Frugal(GIVEN)).weights, GIVEN)
    assert not Frugal.memory


def test_groups() -> None:
    source = ArrayDataSource(GIVEN, groups=2)
    result = read(source, input_channels=8)
    assert (result.groups, result.input_channels, result.weights.shape) == (2, 8, SHAPE)


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 4), (4, 4), (4, 1)])
@pytest.mark.parametrize("quantised", [False, True])
def test_diagonal_memory_weights(inputs: int, outputs: int, quantised: bool) -> None:
    answers: dict[str, Any] = {"weights": np.array([0, 1, 2, 255], np.float32)}
    if quantised:
        answers = {
            "data_type": MPSDataType.UINT8,
            "weights": bytes([0, 1, 2, 255]),
            "ranges_for_uint8_kernel": np.tile(np.array([0, 255], np.float32), outputs),
        }
    source = Recorder(descriptor=descriptor(1, 1, inputs, outputs), **answers)
    result = read(source, role=SourceRole.DIAGONAL_MEMORY, input_channels=4, output_channels=4)
    assert result.weights.shape == (4, 1, 1, 1)
    np.testing.assert_allclose(result.weights.ravel(), [0, 1, 2, 255], rtol=1e-6)


def test_diagonal_memory_weights_described_as_depth_wise() -> None:
    source = Recorder(descriptor=descriptor(1, 1, 4, 4, groups=4), weights=np.arange(4, dtype=np.float32))
    result = read(source, role=SourceRole.DIAGONAL_MEMORY, input_channels=4, output_channels=4)
    assert (result.groups, result.weights.shape) == (1, (4, 1, 1, 1))


finite_halves = st.floats(-65504, 65504, width=32)


@given(npst.arrays(np.float32, (2, 1, 2, 3), elements=finite_halves))
def test_rounding_is_to_nearest_even(weights: npt.NDArray[np.float32]) -> None:
    result = read(ArrayDataSource(weights), input_channels=3, output_channels=2, use_float32_weights=False)
    assert result.weights.dtype == np.float16
    # The two neighbours in float16, and the rule spelt out: the nearer one, or the one with the even last bit.
    with np.errstate(over="ignore"):
        down = np.nextafter(result.weights, np.float16(-np.inf))
        up = np.nextafter(result.weights, np.float16(np.inf))
    exact = weights.astype(np.float64)
    error = np.abs(exact - result.weights)
    for neighbour in (down, up):
        distance = np.abs(exact - neighbour.astype(np.float64))
        even = result.weights.view(np.uint16) % 2 == 0
        assert np.all((error < distance) | ((error == distance) & even))


@pytest.mark.parametrize(
    ("weight", "rounded"), [(2049, 2048), (2051, 2052), (65519, 65504), (2.0**-25, 0), (3 * 2.0**-25, 2.0**-23)]
)
def test_rounding_of_ties_and_limits(weight: float, rounded: float) -> None:
    source = ArrayDataSource(np.full((1, 1, 1, 1), weight, np.float32))
    result = read(source, input_channels=1, output_channels=1, use_float32_weights=False)
    assert float(result.weights[0, 0, 0, 0]) == rounded


def test_float16_weights_are_kept_or_widened_exactly() -> None:
    halves = GIVEN.astype(np.float16)
    kept = read(ArrayDataSource(halves), use_float32_weights=False).weights
    widened = read(ArrayDataSource(halves), use_float32_weights=True).weights
    assert (kept.dtype, widened.dtype) == (np.float16, np.float32)
    assert not kept.flags.writeable
    assert not widened.flags.writeable
    np.testing.assert_array_equal(kept, halves)
    np.testing.assert_array_equal(widened, halves.astype(np.float32))


@given(
    npst.arrays(np.uint8, (3, 2, 1, 2)),
    npst.arrays(np.float32, (3, 2), elements=st.floats(-1000, 1000, width=32)),
)
def test_linear_dequantisation(codes: npt.NDArray[np.uint8], ranges: npt.NDArray[np.float32]) -> None:
    weights = read(ArrayDataSource(codes, ranges=ranges), input_channels=2, output_channels=3).weights
    low = ranges[:, 0].astype(np.float64).reshape(3, 1, 1, 1)
    high = ranges[:, 1].astype(np.float64).reshape(3, 1, 1, 1)
    exact = codes / 255 * (high - low) + low
    # Four float32 operations, none of which sees a number above |max - min| + |min|; smallest subnormal for underflow.
    bound = 4 * np.finfo(np.float32).eps / 2 * (np.abs(high - low) + np.abs(low)) + 4 * 2.0**-149
    assert np.all(np.abs(weights - exact) <= bound)
    np.testing.assert_array_equal(weights[codes == 0], np.broadcast_to(low, codes.shape)[codes == 0])


@given(
    npst.arrays(np.uint8, (2, 1, 1, 5)),
    npst.arrays(np.float32, 256, elements=st.floats(-1024, 1024, width=32)),
)
def test_dequantisation_by_table(codes: npt.NDArray[np.uint8], table: npt.NDArray[np.float32]) -> None:
    weights = read(ArrayDataSource(codes, lookup_table=table), input_channels=5, output_channels=2).weights
    expected = [table[code] for code in codes.ravel()]
    np.testing.assert_array_equal(weights.ravel(), expected)


def test_quantisation_is_found_by_the_methods_alone() -> None:
    codes = np.arange(COUNT, dtype=np.uint8)
    ranges = np.tile(np.array([0, 255], np.float32), 8)
    table = np.arange(256, dtype=np.float32)
    quantised = {"data_type": MPSDataType.UINT8, "weights": codes.tobytes()}
    for answers in (
        {"ranges_for_uint8_kernel": ranges},
        {"lookup_table_for_uint8_kernel": table.tobytes(), "ranges_for_uint8_kernel": None},
        {"lookup_table_for_uint8_kernel": table, "ranges_for_uint8_kernel": 9 * ranges, "weights_quantization_type": 2},
        {"lookup_table_for_uint8_kernel": 9 * table, "ranges_for_uint8_kernel": ranges, "weights_quantization_type": 1},
    ):
        weights = read(Recorder(**quantised, **answers)).weights
        np.testing.assert_allclose(weights.ravel(), codes, rtol=1e-6)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("use_float32_weights", [False, True])
def test_batch_normalisation_is_folded(with_bias: bool, use_float32_weights: bool) -> None:
    rng = np.random.default_rng(3)
    mean, gamma, beta, bias = rng.normal(size=(4, 8)).astype(np.float32)
    variance = rng.uniform(0.5, 2, 8).astype(np.float32)
    normalised = descriptor()
    normalised.set_batch_normalization_parameters_for_inference_with_mean(mean, variance, gamma, beta, 1e-3)
    source = Recorder(descriptor=normalised, bias_terms=bias if with_bias else None)
    result = read(source, use_float32_weights=use_float32_weights)
    # Not the folded formula again but what it stands for: the normalisation of a convolution's result.
    patch = rng.normal(size=(5, *SHAPE[1:]))
    convolved = np.einsum("nhwi,ohwi->no", patch, GIVEN.astype(np.float64)) + (bias if with_bias else 0)
    expected = (convolved - mean) / np.sqrt(variance + np.float64(1e-3)) * gamma + beta
    folded = np.einsum("nhwi,ohwi->no", patch, result.weights.astype(np.float64)) + result.bias
    # Every folded number was rounded once, by half a unit in the last place.
    magnitude = np.einsum("nhwi,ohwi->no", np.abs(patch), np.abs(result.weights.astype(np.float64)))
    bound = np.finfo(result.weights.dtype).eps * magnitude + np.finfo(np.float32).eps * np.abs(result.bias) + 1e-12
    assert np.all(np.abs(folded - expected) <= bound)
    assert result.bias is not None
    assert result.bias.dtype == np.float32


def test_layout_ohwi_is_accepted() -> None:
    source = Recorder(weights_layout=MPSCNNConvolutionWeightsLayout.OHWI)
    np.testing.assert_array_equal(read(source).weights, GIVEN)
