"""Descriptions of neurons and convolutions: defaults, checks, copies."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from mpsrnn_cy.convolution import MPSCNNConvolutionDescriptor, MPSNNNeuronDescriptor, check_groups, check_neuron
from mpsrnn_cy.enums import MPSCNNNeuronType
from mpsrnn_cy.errors import BadArgumentError, BadTypeError

make_neuron = MPSNNNeuronDescriptor.cnn_neuron_descriptor
make_prelu = MPSNNNeuronDescriptor.cnn_neuron_prelu_descriptor

SUGGESTED = {
    "NONE": (0, 0, 0),
    "RELU": (0, 0, 0),
    "LINEAR": (1, 0, 0),
    "SIGMOID": (0, 0, 0),
    "HARD_SIGMOID": (0.2, 0.5, 0),
    "TANH": (1, 1, 0),
    "ABSOLUTE": (0, 0, 0),
    "SOFT_PLUS": (1, 1, 0),
    "SOFT_SIGN": (0, 0, 0),
    "ELU": (1, 0, 0),
    "RELUN": (1, 6, 0),
    "GELU": (0, 0, 0),
}


@pytest.mark.parametrize("name", SUGGESTED)
def test_neuron_without_parameters_takes_the_suggested_ones(name: str) -> None:
    neuron = make_neuron(MPSCNNNeuronType[name])
    assert neuron.neuron_type is MPSCNNNeuronType[name]
    assert (neuron.a, neuron.b, neuron.c) == SUGGESTED[name]
    assert neuron.data is None


def test_neuron_given_parameters_win_one_by_one() -> None:
    neuron = make_neuron(MPSCNNNeuronType.TANH, a=0.0)
    assert (neuron.a, neuron.b, neuron.c) == (0, 1, 0)


@pytest.mark.parametrize("name", ["POWER", "EXPONENTIAL", "LOGARITHM"])
def test_neuron_without_suggestion_needs_all_parameters(name: str) -> None:
    with pytest.raises(BadArgumentError, match=rf"^c: got None, expected a number: {name} has no default for it$"):
        make_neuron(MPSCNNNeuronType[name], 1.0, 0.0)
    assert make_neuron(MPSCNNNeuronType[name], 1.0, 0.0, -1.0).c == -1


def test_every_function_but_prelu_has_a_factory_rule() -> None:
    names = {case.name for case in MPSCNNNeuronType} - {"COUNT", "PRELU"}
    assert names == set(SUGGESTED) | {"POWER", "EXPONENTIAL", "LOGARITHM"}


def test_neuron_cannot_be_constructed_directly() -> None:
    with pytest.raises(BadTypeError, match="MPSNNNeuronDescriptor: cannot be constructed directly, expected "):
        MPSNNNeuronDescriptor()


@pytest.mark.parametrize(
    ("arguments", "exception", "message"),
    [
        ((MPSCNNNeuronType.PRELU,), BadArgumentError, "with_: got PRELU, expected another function; cnn_neuron_prelu"),
        ((MPSCNNNeuronType.COUNT,), BadArgumentError, "with_: got .*COUNT.*, expected a case of MPSCNNNeuronType"),
        (("relu",), BadTypeError, "with_: got 'relu' .*, expected a case of MPSCNNNeuronType"),
        ((1, float("nan")), BadArgumentError, "a: got nan, expected a finite number"),
        ((2, 1.0, "0"), BadTypeError, r"b: got '0' \(str\), expected a float"),
        ((12, 1.0, 0.0, 1e40), BadArgumentError, r"c: got 1e\+40, expected a finite number"),
    ],
)
def test_neuron_factory_refuses(arguments: tuple[Any, ...], exception: type[Exception], message: str) -> None:
    with pytest.raises(exception, match=f"^{message}"):
        make_neuron(*arguments)


def test_neuron_setters_check() -> None:
    neuron = make_neuron(MPSCNNNeuronType.SIGMOID)
    neuron.neuron_type = 2  # type: ignore[assignment]
    assert neuron.neuron_type is MPSCNNNeuronType.LINEAR
    with pytest.raises(BadArgumentError, match=r"^MPSNNNeuronDescriptor.a: got inf, expected a finite number"):
        neuron.a = float("inf")
    with pytest.raises(BadTypeError, match=r"^MPSNNNeuronDescriptor.data: got a list, expected a buffer of float32"):
        neuron.data = [1.0]  # type: ignore[assignment]
    with pytest.raises(AttributeError, match="alpha"):
        neuron.alpha = 1.0  # type: ignore[attr-defined]


@pytest.mark.parametrize("as_bytes", [False, True])
def test_prelu_copies_its_data(as_bytes: bool) -> None:
    slopes = np.array([0.1, 0.2, 0.3], np.float32)
    neuron = make_prelu(slopes.tobytes() if as_bytes else slopes)
    expected = slopes.copy()
    slopes[:] = 0
    assert neuron.neuron_type is MPSCNNNeuronType.PRELU
    np.testing.assert_array_equal(neuron.data, expected)
    assert not neuron.data.flags.writeable


def test_prelu_without_copy_sees_later_changes_and_leaves_the_array_writeable() -> None:
    slopes = np.array([0.1, 0.2], np.float32)
    neuron = make_prelu(slopes, no_copy=True)
    slopes[1] = 5
    assert neuron.data[1] == 5
    assert not neuron.data.flags.writeable


@pytest.mark.parametrize(
    ("data", "exception", "message"),
    [
        (np.ones(3), BadTypeError, "with_: got elements of float64, expected float32"),
        ([0.1], BadTypeError, "with_: got a list, expected a buffer of float32"),
        (b"", BadArgumentError, "with_: got 0 bytes, expected at least 1 element of float32"),
        (
            np.array([0, np.nan], np.float32),
            BadArgumentError,
            r"with_: got nan at index \(1,\), expected finite numbers",
        ),
    ],
)
def test_prelu_refuses(data: Any, exception: type[Exception], message: str) -> None:
    with pytest.raises(exception, match=f"^{message}$|^{message} "):
        make_prelu(data)


def test_neuron_equality() -> None:
    assert make_neuron(1, 0.5) == make_neuron(MPSCNNNeuronType.RELU, 0.5)
    assert make_neuron(1, 0.5) != make_neuron(1, 0.25)
    assert make_neuron(1) != make_neuron(0)
    assert make_neuron(1) != "RELU"
    ones = np.ones(2, np.float32)
    assert make_prelu(ones) == make_prelu(ones.tobytes())
    assert make_prelu(ones) != make_prelu(2 * ones)
    empty = make_prelu(ones)
    empty.data = None
    assert empty != make_prelu(ones)
    with pytest.raises(TypeError, match="unhashable"):
        hash(make_neuron(1))


@pytest.mark.parametrize(
    "copier", [MPSNNNeuronDescriptor.copy, copy.copy, copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))]
)
def test_neuron_copies_are_independent(copier: Any) -> None:
    neuron = make_neuron(MPSCNNNeuronType.ELU, 2.0)
    copied = copier(neuron)
    assert copied == neuron
    copied.a = 3.0
    assert neuron.a == 2.0


def test_neuron_repr_tells_the_function_and_its_parameters() -> None:
    text = repr(make_neuron(MPSCNNNeuronType.HARD_SIGMOID))
    assert text == "MPSNNNeuronDescriptor(neuron_type=<MPSCNNNeuronType.HARD_SIGMOID: 4>, a=0.2, b=0.5, c=0.0)"


def test_convolution_defaults_are_apples() -> None:
    descriptor = MPSCNNConvolutionDescriptor(5, 3, 4, 8)
    assert (descriptor.kernel_width, descriptor.kernel_height) == (5, 3)
    assert (descriptor.input_feature_channels, descriptor.output_feature_channels) == (4, 8)
    assert (descriptor.stride_in_pixels_x, descriptor.stride_in_pixels_y) == (1, 1)
    assert (descriptor.dilation_rate_x, descriptor.dilation_rate_y, descriptor.groups) == (1, 1, 1)
    assert descriptor.fused_neuron_descriptor == make_neuron(MPSCNNNeuronType.NONE)
    assert descriptor.batch_normalization is None


COUNTS = [
    "kernel_width",
    "kernel_height",
    "input_feature_channels",
    "output_feature_channels",
    "stride_in_pixels_x",
    "stride_in_pixels_y",
    "groups",
    "dilation_rate_x",
    "dilation_rate_y",
]


@pytest.mark.parametrize("name", COUNTS)
def test_convolution_counts_are_checked_when_set(name: str) -> None:
    descriptor = MPSCNNConvolutionDescriptor(3, 3, 4, 4)
    setattr(descriptor, name, np.int64(2))
    assert getattr(descriptor, name) == 2
    with pytest.raises(
        BadArgumentError, match=rf"^MPSCNNConvolutionDescriptor.{name}: got 0, expected an int from 1 to"
    ):
        setattr(descriptor, name, 0)
    with pytest.raises(
        BadTypeError, match=rf"^MPSCNNConvolutionDescriptor.{name}: got 1.5 \(float\), expected an int$"
    ):
        setattr(descriptor, name, 1.5)
    assert getattr(descriptor, name) == 2


def test_convolution_constructor_checks() -> None:
    with pytest.raises(BadArgumentError, match=r"^MPSCNNConvolutionDescriptor.kernel_height: got -3, expected an int"):
        MPSCNNConvolutionDescriptor(3, -3, 4, 4)


def test_convolution_neuron_is_checked_and_not_shared() -> None:
    descriptor = MPSCNNConvolutionDescriptor(3, 3, 4, 4)
    descriptor.fused_neuron_descriptor.a = 4.0
    assert MPSCNNConvolutionDescriptor(3, 3, 4, 4).fused_neuron_descriptor.a == 0.0
    name = "MPSCNNConvolutionDescriptor.fused_neuron_descriptor"
    with pytest.raises(BadTypeError, match=rf"^{name}: got None \(NoneType\), expected MPSNNNeuronDescriptor$"):
        descriptor.fused_neuron_descriptor = None  # type: ignore[assignment]


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("copier", [MPSCNNConvolutionDescriptor.copy, copy.copy, copy.deepcopy, pickled])
def test_convolution_copies_are_independent(copier: Any) -> None:
    descriptor = MPSCNNConvolutionDescriptor(3, 3, 4, 4)
    descriptor.dilation_rate_x = 2
    copied = copier(descriptor)
    copied.groups = 4
    copied.fused_neuron_descriptor.a = 7.0
    assert copied.dilation_rate_x == 2
    assert descriptor.groups == 1
    assert descriptor.fused_neuron_descriptor.a == 0.0


def test_convolution_keeps_everything_in_a_pickle() -> None:
    descriptor = MPSCNNConvolutionDescriptor(5, 1, 4, 2)
    descriptor.dilation_rate_y = 3
    descriptor.fused_neuron_descriptor = make_prelu(np.array([0.5, -2.0], np.float32))
    numbers = {name: np.array([1.5, 2.5], np.float32) for name in ("mean", "variance", "gamma", "beta")}
    descriptor.set_batch_normalization_parameters_for_inference_with_mean(**numbers, epsilon=0.25)
    back = pickled(descriptor)
    assert repr(back) == repr(descriptor)
    assert back.fused_neuron_descriptor == descriptor.fused_neuron_descriptor
    assert not back.fused_neuron_descriptor.data.flags.writeable
    normalization = back.batch_normalization
    assert normalization.epsilon == 0.25
    for name, expected in numbers.items():
        np.testing.assert_array_equal(getattr(normalization, name), expected, strict=True)
        assert not getattr(normalization, name).flags.writeable


def test_what_comes_out_of_a_pickle_is_checked() -> None:
    with pytest.raises(BadArgumentError, match=r"^MPSCNNConvolutionDescriptor\.groups: got 0"):
        MPSCNNConvolutionDescriptor(3, 3, 4, 4).__setstate__({"groups": 0})


def test_deprecated_members_are_those_of_the_fused_neuron() -> None:
    descriptor = MPSCNNConvolutionDescriptor(3, 3, 4, 2)
    with pytest.warns(DeprecationWarning, match=r"neuron is deprecated, as Apple's is; use fused_neuron_descriptor"):
        assert descriptor.neuron is None
    with pytest.warns(DeprecationWarning, match=r"set_neuron_type\(\) is deprecated"):
        descriptor.set_neuron_type(MPSCNNNeuronType.HARD_SIGMOID, 0.25, 0.75)
    assert descriptor.fused_neuron_descriptor == make_neuron(MPSCNNNeuronType.HARD_SIGMOID, 0.25, 0.75)
    with pytest.warns(DeprecationWarning, match=r"neuron_type\(\) is deprecated"):
        assert descriptor.neuron_type() is MPSCNNNeuronType.HARD_SIGMOID
    with pytest.warns(DeprecationWarning, match=r"neuron_parameter_a\(\) is deprecated"):
        assert descriptor.neuron_parameter_a() == 0.25
    with pytest.warns(DeprecationWarning, match=r"neuron_parameter_b\(\) is deprecated"):
        assert descriptor.neuron_parameter_b() == 0.75
    with pytest.warns(DeprecationWarning, match=r"set_neuron_to_prelu_with_parameters_a\(\) is deprecated"):
        descriptor.set_neuron_to_prelu_with_parameters_a(np.array([1.0, 2.0], np.float32))
    assert descriptor.fused_neuron_descriptor == make_prelu(np.array([1.0, 2.0], np.float32))
    with pytest.warns(DeprecationWarning, match="neuron is deprecated"):
        assert descriptor.neuron is descriptor.fused_neuron_descriptor
    with pytest.warns(DeprecationWarning, match="neuron is deprecated"):
        descriptor.neuron = None
    assert descriptor.fused_neuron_descriptor == make_neuron(MPSCNNNeuronType.NONE)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_deprecated_members_check() -> None:
    descriptor = MPSCNNConvolutionDescriptor(3, 3, 4, 2)
    with pytest.raises(BadArgumentError, match=r"^a: got 12 bytes, expected 8 bytes \(2 elements\) of float32$"):
        descriptor.set_neuron_to_prelu_with_parameters_a(np.ones(3, np.float32))
    with pytest.raises(BadTypeError, match=r"^MPSCNNConvolutionDescriptor\.neuron: got 'RELU'"):
        descriptor.neuron = "RELU"  # type: ignore[assignment]
    with pytest.raises(BadTypeError, match=r"^a: got .x."):
        descriptor.set_neuron_type(MPSCNNNeuronType.RELU, "x", 0.0)  # type: ignore[arg-type]
    assert descriptor.fused_neuron_descriptor == make_neuron(MPSCNNNeuronType.NONE)


def test_convolution_repr_tells_what_was_set() -> None:
    descriptor = MPSCNNConvolutionDescriptor(3, 2, 4, 8)
    descriptor.groups = 2
    assert repr(descriptor) == (
        "MPSCNNConvolutionDescriptor(kernel_width=3, kernel_height=2, input_feature_channels=4, "
        f"output_feature_channels=8, groups=2, fused_neuron_descriptor={descriptor.fused_neuron_descriptor!r})"
    )


def statistics(**changes: Any) -> dict[str, Any]:
    """Arguments of a batch normalisation of 4 channels, some of them replaced."""
    ones = np.ones(4, np.float32)
    return {"mean": ones, "variance": ones, "gamma": ones, "beta": ones, "epsilon": 1e-3, **changes}


def test_batch_normalization_is_copied() -> None:
    descriptor = MPSCNNConvolutionDescriptor(3, 3, 4, 4)
    mean = np.arange(4, dtype=np.float32)
    descriptor.set_batch_normalization_parameters_for_inference_with_mean(**statistics(mean=mean, gamma=mean.tobytes()))
    mean[:] = 0
    assert descriptor.batch_normalization is not None
    np.testing.assert_array_equal(descriptor.batch_normalization.mean, [0, 1, 2, 3])
    np.testing.assert_array_equal(descriptor.batch_normalization.gamma, [0, 1, 2, 3])
    assert descriptor.batch_normalization.epsilon == 1e-3
    assert descriptor.copy().batch_normalization is descriptor.batch_normalization


@pytest.mark.parametrize(
    ("changes", "exception", "message"),
    [
        ({"mean": np.ones(3, np.float32)}, BadArgumentError, r"mean: got 12 bytes, expected 16 bytes \(4 elements\)"),
        ({"gamma": np.ones(4)}, BadTypeError, "gamma: got elements of float64, expected float32"),
        ({"beta": None}, BadTypeError, "beta: got a NoneType, expected a buffer of float32"),
        ({"beta": np.full(4, np.inf, np.float32)}, BadArgumentError, r"beta: got inf at index \(0,\), expected finite"),
        ({"epsilon": -1.0}, BadArgumentError, "epsilon: got -1.0, expected at least 0"),
        ({"epsilon": "x"}, BadTypeError, r"epsilon: got 'x' \(str\), expected a float"),
        (
            {"variance": np.array([1, 0, 1, 1], np.float32), "epsilon": 0},
            BadArgumentError,
            "variance: got 0.0 with epsilon 0.0, expected sums above 0",
        ),
    ],
)
def test_batch_normalization_refuses(changes: dict[str, Any], exception: type[Exception], message: str) -> None:
    descriptor = MPSCNNConvolutionDescriptor(3, 3, 4, 4)
    with pytest.raises(exception, match=f"^{message}"):
        descriptor.set_batch_normalization_parameters_for_inference_with_mean(**statistics(**changes))
    assert descriptor.batch_normalization is None


def test_groups_hold_multiples_of_four_channels() -> None:
    check_groups(1, 3, 5, "groups")
    check_groups(2, 8, 16, "groups")
    for groups, inputs, outputs, side, count in (
        (2, 4, 8, "input", 4),
        (3, 8, 12, "input", 8),
        (2, 8, 12, "output", 12),
    ):
        expected = (
            f"^groups: got {groups} groups for {count} {side} channels, expected each group to hold a multiple of 4"
        )
        with pytest.raises(BadArgumentError, match=expected):
            check_groups(groups, inputs, outputs, "groups")


def test_prelu_needs_one_parameter_per_output_channel() -> None:
    check_neuron(make_neuron(1), 5, "neuron")
    prelu = make_prelu(np.ones(4, np.float32))
    check_neuron(prelu, 4, "neuron")
    with pytest.raises(
        BadArgumentError, match=r"^neuron: got PReLU data of 4 channels, expected 5, one per output channel$"
    ):
        check_neuron(prelu, 5, "neuron")
    prelu.data = None
    with pytest.raises(BadArgumentError, match=r"^neuron: got PReLU data of 0 channels, expected 4"):
        check_neuron(prelu, 4, "neuron")
