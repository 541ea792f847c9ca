"""Reading data sources: every way in which a source can be wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpsrnn_cy.convolution import MPSCNNConvolutionDescriptor, MPSNNNeuronDescriptor
from mpsrnn_cy.enums import MPSCNNWeightsQuantizationType, MPSDataType
from mpsrnn_cy.errors import BadArgumentError, BadTypeError
from mpsrnn_cy.weight_reader import SourceRole
from recorder import COUNT, GIVEN, SHAPE, Recorder, descriptor, read

WITH_NAN = GIVEN.copy()
WITH_NAN[1, 0, 0, 2] = np.nan
HUGE = np.full(SHAPE, 1e5, np.float32)
QUANTISED: dict[str, Any] = {"data_type": MPSDataType.UINT8, "weights": bytes(COUNT)}
WIDE = np.tile(np.array([-3e38, 3e38], np.float32), 8)
WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "data type": (
        {"data_type": "float"},
        BadTypeError,
        r"data_type\(\): got 'float' \(str\), expected a case of MPSData",
    ),
    "data type value": (
        {"data_type": MPSDataType.INT8},
        BadArgumentError,
        r"data_type\(\) is INT8, expected UINT8, FLO",
    ),
    "descriptor": ({"descriptor": None}, BadTypeError, r"descriptor\(\): got None \(NoneType\), expected MPSCNNConvol"),
    "label": ({"label": 5}, BadTypeError, r"label\(\): got 5 \(int\), expected str"),
    "layout": (
        {"weights_layout": 1},
        BadArgumentError,
        r"weights_layout\(\): got 1, expected a case of MPSCNNConvolut",
    ),
    "none": ({"weights": None}, BadTypeError, r"weights\(\): got a NoneType, expected a buffer of float32"),
    "list": ({"weights": [1.0]}, BadTypeError, r"weights\(\): got a list, expected a buffer of float32"),
    "float64": (
        {"weights": GIVEN.astype(np.float64)},
        BadTypeError,
        r"weights\(\): got elements of float64, expected float32",
    ),
    "big-endian": (
        {"weights": GIVEN.astype(">f4")},
        BadTypeError,
        r"weights\(\): got elements of float32 in foreign byte order, expected float32",
    ),
    "strided": (
        {"weights": GIVEN[..., ::-1]},
        BadArgumentError,
        r"weights\(\): got memory that is not C-contiguous, expected C-contiguous float32",
    ),
    "short": (
        {"weights": GIVEN.tobytes()[:-4]},
        BadArgumentError,
        r"weights\(\): got 764 bytes, expected 768 bytes \(192 elements\) of float32",
    ),
    "long": ({"weights": bytes(772)}, BadArgumentError, r"weights\(\): got 772 bytes, expected 768 bytes"),
    "transposed": (
        {"weights": np.ascontiguousarray(GIVEN.transpose(1, 2, 3, 0))},
        BadArgumentError,
        r"weights\(\): got shape \(3, 2, 4, 8\), expected \(8, 3, 2, 4\), with or without axes of length 1, or a flat",
    ),
    "nan": (
        {"weights": WITH_NAN},
        BadArgumentError,
        r"weights\(\): got nan at index \(1, 0, 0, 2\), expected finite numbers",
    ),
    "bias length": (
        {"bias_terms": np.zeros(4, np.float32)},
        BadArgumentError,
        r"bias_terms\(\): got 16 bytes, expected 32 bytes \(8 elements\) of float32",
    ),
    "bias type": (
        {"bias_terms": np.zeros(8, np.float16)},
        BadTypeError,
        r"bias_terms\(\): got elements of float16, expected float32",
    ),
    "bias inf": (
        {"bias_terms": np.full(8, np.inf, np.float32)},
        BadArgumentError,
        r"bias_terms\(\): got inf at index \(0,\), expected finite numbers",
    ),
    "channels": (
        {"descriptor": descriptor(2, 3, 8, 4)},
        BadArgumentError,
        "got 8 input and 4 output channels, expected 4 and 8",
    ),
    "stride": (
        {"descriptor": descriptor(stride_in_pixels_x=2)},
        BadArgumentError,
        r"got stride \(1, 2\) \(y, x\), expected \(1, 1\): a layer keeps the image size",
    ),
    "groups": (
        {"descriptor": descriptor(groups=2)},
        BadArgumentError,
        "got 2 groups for 4 input channels, expected each group to hold a multiple of 4 channels",
    ),
    "prelu": (
        {
            "descriptor": descriptor(
                fused_neuron_descriptor=MPSNNNeuronDescriptor.cnn_neuron_prelu_descriptor(np.ones(4, np.float32))
            )
        },
        BadArgumentError,
        "got PReLU data of 4 channels, expected 8, one per output channel",
    ),
    "no ranges": (
        QUANTISED,
        BadArgumentError,
        r"got neither of ranges_for_uint8_kernel\(\) and lookup_table_for_uint8_kernel\(\) for UINT8 weights, expected",
    ),
    "ranges and table": (
        {**QUANTISED, "ranges_for_uint8_kernel": WIDE, "lookup_table_for_uint8_kernel": bytes(1024)},
        BadArgumentError,
        r"got both of ranges_for_uint8_kernel\(\) and lookup_table_for_uint8_kernel\(\)",
    ),
    "linear without ranges": (
        {**QUANTISED, "weights_quantization_type": 1, "lookup_table_for_uint8_kernel": bytes(1024)},
        BadArgumentError,
        "got neither of ranges_for_uint8_kernel",
    ),
    "uint8 not quantised": (
        {**QUANTISED, "weights_quantization_type": MPSCNNWeightsQuantizationType.NONE},
        BadArgumentError,
        r"weights_quantization_type\(\) is NONE for UINT8 weights, expected LINEAR or LOOKUP_TABLE for UINT8 and NONE",
    ),
    "float quantised": (
        {"weights_quantization_type": MPSCNNWeightsQuantizationType.LINEAR},
        BadArgumentError,
        r"weights_quantization_type\(\) is LINEAR for FLOAT32 weights",
    ),
    "ranges length": (
        {**QUANTISED, "ranges_for_uint8_kernel": np.zeros(8, np.float32)},
        BadArgumentError,
        r"ranges_for_uint8_kernel\(\): got 32 bytes, expected 64 bytes",
    ),
    "range too wide": (
        {**QUANTISED, "weights": bytes([255] * COUNT), "ranges_for_uint8_kernel": WIDE},
        BadArgumentError,
        r"weights\(\): got inf at index \(0, 0, 0, 0\), expected finite numbers",
    ),
    "table length": (
        {**QUANTISED, "lookup_table_for_uint8_kernel": bytes(1020)},
        BadArgumentError,
        r"lookup_table_for_uint8_kernel\(\): got 1020 bytes, expected 1024 bytes",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_answers_are_told_with_slot_and_label_and_still_purged(case: str) -> None:
    answers, exception, message = WRONG[case]
    where = r"forget_gate_weights \(Recorder\)" if case == "label" else r"forget_gate_weights \('conv1'\)"
    source = Recorder(**answers)
    with pytest.raises(exception, match=f"^{where}: {message}"):
        read(source)
    assert source.calls[-1] == "purge"
    assert source.calls.count("purge") == 1


@pytest.mark.parametrize("method", ["label", "descriptor", "data_type", "weights", "bias_terms", "weights_layout"])
def test_exceptions_of_the_source_are_chained_and_it_is_purged(method: str) -> None:
    cause = OSError("disk gone")
    source = Recorder(**{method: cause})
    with pytest.raises(
        BadArgumentError, match=rf"^forget_gate_weights \(.*\): {method}\(\) raised OSError: disk gone$"
    ) as e:
        read(source)
    assert e.value.__cause__ is cause
    assert source.calls[-1] == "purge"


def test_failing_purge_is_told() -> None:
    cause = OSError("disk gone")
    with pytest.raises(
        BadArgumentError, match=r"^forget_gate_weights \('conv1'\): purge\(\) raised OSError: "
    ) as error:
        read(Recorder(purge=cause))
    assert error.value.__cause__ is cause


def test_failing_purge_does_not_hide_what_failed_before() -> None:
    first = KeyError("first")
    cause = OSError("then")
    with pytest.raises(BadArgumentError, match=r"purge\(\) raised OSError: then") as error:
        read(Recorder(weights=first, purge=cause))
    assert error.value.__cause__ is cause
    earlier = cause.__context__
    assert earlier is not None
    assert earlier.__cause__ is first


@pytest.mark.parametrize(
    ("answer", "exception", "message"),
    [
        (False, BadArgumentError, r"load\(\) returned False, expected True"),
        (None, BadTypeError, r"load\(\) returned None \(NoneType\), expected a bool"),
        (1, BadTypeError, r"load\(\) returned 1 \(int\), expected a bool"),
        (OSError("disk gone"), BadArgumentError, r"load\(\) raised OSError: disk gone"),
    ],
)
def test_source_that_did_not_load_is_asked_nothing_more(answer: Any, exception: type[Exception], message: str) -> None:
    source = Recorder(load=answer)
    with pytest.raises(exception, match=rf"^forget_gate_weights \(Recorder\): {message}$"):
        read(source)
    assert source.calls == ["load"]


def test_object_without_the_methods() -> None:
    with pytest.raises(
        BadTypeError, match=r"^forget_gate_weights \(int\): got an object without load\(\), expected a data"
    ):
        read(3)


@pytest.mark.parametrize("unlabelled", [None, "conv1"])
def test_messages_name_the_label_or_the_type(unlabelled: str | None) -> None:
    expected = "Recorder" if unlabelled is None else "'conv1'"
    with pytest.raises(BadArgumentError, match=rf"^forget_gate_weights \({expected}\): weights\(\): got 1 bytes"):
        read(Recorder(label=unlabelled, weights=b"x"))


def test_weights_too_large_for_float16_suggest_float32() -> None:
    message = (
        r"^forget_gate_weights \('conv1'\): got a weight of magnitude 100000, "
        r"expected at most 65504 for float16; use_float32_weights=True keeps larger ones$"
    )
    with pytest.raises(BadArgumentError, match=message):
        read(Recorder(weights=HUGE), use_float32_weights=False)
    np.testing.assert_array_equal(read(Recorder(weights=HUGE)).weights, HUGE)


def test_batch_normalisation_can_overflow() -> None:
    ones = np.ones(8, np.float32)
    normalised = descriptor()
    normalised.set_batch_normalization_parameters_for_inference_with_mean(ones * 0, ones, ones * 1e38, ones * 0, 0.0)
    with pytest.raises(
        BadArgumentError, match=r"got a weight of magnitude 1e\+43, expected at most 3.40282e\+38 for float32$"
    ):
        read(Recorder(descriptor=normalised, weights=HUGE))
    with pytest.raises(BadArgumentError, match=r"biases folded with the batch normalisation: got inf at index \(0,\)"):
        read(Recorder(descriptor=normalised, bias_terms=ones * 100))


def test_batch_normalisation_needs_the_channels_of_the_layer() -> None:
    normalised = descriptor(2, 3, 4, 4)
    normalised.set_batch_normalization_parameters_for_inference_with_mean(*[np.ones(4, np.float32)] * 4, epsilon=0.0)
    normalised.output_feature_channels = 8
    with pytest.raises(BadArgumentError, match="got batch normalisation of 4 channels, expected 8"):
        read(Recorder(descriptor=normalised))


@pytest.mark.parametrize("role", [SourceRole.RECURRENT, SourceRole.MEMORY])
def test_batch_normalisation_of_other_roles_is_refused(role: SourceRole) -> None:
    normalised = descriptor()
    normalised.set_batch_normalization_parameters_for_inference_with_mean(*[np.ones(8, np.float32)] * 4, epsilon=0.0)
    source = Recorder(descriptor=normalised)
    with pytest.raises(
        BadArgumentError, match=f"got batch normalisation on {role.value} weights, expected it on input"
    ):
        read(source, role=role)
    assert source.calls[-1] == "purge"


@pytest.mark.parametrize(
    ("described", "message"),
    [
        (
            descriptor(1, 1, 2, 4),
            r"got 2 input and 4 output channels for diagonal memory weights, expected \(1, 4\), \(4, 4\) or \(4, 1\)",
        ),
        (descriptor(3, 1, 1, 4), r"got a kernel of \(1, 3\) for diagonal memory weights, expected \(1, 1\)"),
        (descriptor(1, 1, 4, 4, groups=2), "got 2 groups for diagonal memory weights, expected 1"),
        (descriptor(1, 1, 1, 4, groups=4), "got 4 groups for diagonal memory weights, expected 1"),
        (descriptor(1, 1, 4, 4, stride_in_pixels_y=2), r"got stride \(2, 1\)"),
    ],
)
def test_diagonal_memory_weights_refuse(described: MPSCNNConvolutionDescriptor, message: str) -> None:
    source = Recorder(descriptor=described, weights=np.ones(4, np.float32))
    with pytest.raises(BadArgumentError, match=rf"^forget_gate_weights \('conv1'\): {message}"):
        read(source, role=SourceRole.DIAGONAL_MEMORY, input_channels=4, output_channels=4)


def test_diagonal_memory_weights_are_n_numbers() -> None:
    source = Recorder(descriptor=descriptor(1, 1, 4, 4), weights=np.ones(16, np.float32))
    with pytest.raises(BadArgumentError, match=r"weights\(\): got 64 bytes, expected 16 bytes \(4 elements\)"):
        read(source, role=SourceRole.DIAGONAL_MEMORY, input_channels=4, output_channels=4)
