"""The enumerations have Apple's values, and the exceptions inherit what they should."""

from __future__ import annotations

import inspect
from enum import IntEnum, IntFlag

import pytest

from mpsrnn_cy import enums, errors
from mpsrnn_cy.enums import MPSDataType, MPSImageFeatureChannelFormat, MPSKernelOptions, MPSRNNMatrixId, MTLTextureUsage

# Name by name as Apple documents them, so that no value can shift unnoticed.
VALUES = {
    "MPSRNNSequenceDirection": {"FORWARD": 0, "BACKWARD": 1},
    "MPSRNNBidirectionalCombineMode": {"NONE": 0, "ADD": 1, "CONCATENATE": 2},
    "MPSCNNNeuronType": {
        "NONE": 0,
        "RELU": 1,
        "LINEAR": 2,
        "SIGMOID": 3,
        "HARD_SIGMOID": 4,
        "TANH": 5,
        "ABSOLUTE": 6,
        "SOFT_PLUS": 7,
        "SOFT_SIGN": 8,
        "ELU": 9,
        "PRELU": 10,
        "RELUN": 11,
        "POWER": 12,
        "EXPONENTIAL": 13,
        "LOGARITHM": 14,
        "GELU": 15,
        "COUNT": 16,
    },
    "MPSImageFeatureChannelFormat": {"NONE": 0, "UNORM8": 1, "UNORM16": 2, "FLOAT16": 3, "FLOAT32": 4, "COUNT": 6},
    "MPSImageEdgeMode": {"ZERO": 0, "CLAMP": 1, "MIRROR": 2, "MIRROR_WITH_EDGE": 3, "CONSTANT": 4},
    "MPSDataLayout": {"HEIGHT_X_WIDTH_X_FEATURE_CHANNELS": 0, "FEATURE_CHANNELS_X_HEIGHT_X_WIDTH": 1},
    "MPSCNNConvolutionWeightsLayout": {"OHWI": 0},
    "MPSCNNWeightsQuantizationType": {"NONE": 0, "LINEAR": 1, "LOOKUP_TABLE": 2},
    "MPSKernelOptions": {
        "NONE": 0,
        "SKIP_API_VALIDATION": 1,
        "ALLOW_REDUCED_PRECISION": 2,
        "DISABLE_INTERNAL_TILING": 4,
        "INSERT_DEBUG_GROUPS": 8,
        "VERBOSE": 16,
    },
    "MPSDataType": {
        "INVALID": 0,
        "UINT8": 8,
        "UINT16": 16,
        "UINT32": 32,
        "UINT64": 64,
        "COMPLEX_BIT": 0x01000000,
        "FLOAT_BIT": 0x10000000,
        "FLOAT16": 268435472,
        "FLOAT32": 268435488,
        "SIGNED_BIT": 0x20000000,
        "INT8": 0x20000008,
        "INT16": 0x20000010,
        "INT32": 0x20000020,
        "INT64": 0x20000040,
        "NORMALIZED_BIT": 0x40000000,
        "UNORM1": 0x40000001,
        "UNORM8": 0x40000008,
        "ALTERNATE_ENCODING_BIT": 0x80000000,
        "BOOL": 0x80000008,
    },
    "MPSStateResourceType": {"NONE": 0, "BUFFER": 1, "TEXTURE": 2},
    "MPSPurgeableState": {"ALLOCATION_DEFERRED": 0, "KEEP_CURRENT": 1, "NON_VOLATILE": 2, "VOLATILE": 3, "EMPTY": 4},
    "MPSNNConvolutionAccumulatorPrecisionOption": {"HALF": 0, "FLOAT": 1},
    "MTLPixelFormat": {
        "R8_UNORM": 10,
        "R16_UNORM": 20,
        "R16_FLOAT": 25,
        "RG8_UNORM": 30,
        "R32_FLOAT": 55,
        "RG16_UNORM": 60,
        "RG16_FLOAT": 65,
        "RGBA8_UNORM": 70,
        "BGRA8_UNORM": 80,
        "RG32_FLOAT": 105,
        "RGBA16_UNORM": 110,
        "RGBA16_FLOAT": 115,
        "RGBA32_FLOAT": 125,
    },
    "MTLTextureType": {"TYPE_2D": 2, "TYPE_2D_ARRAY": 3},
    "MTLTextureUsage": {"UNKNOWN": 0, "SHADER_READ": 1, "SHADER_WRITE": 2},
    "MTLStorageMode": {"SHARED": 0, "MANAGED": 1, "PRIVATE": 2, "MEMORYLESS": 3},
    "MTLCPUCacheMode": {"DEFAULT_CACHE": 0, "WRITE_COMBINED": 1},
    "MTLCommandBufferStatus": {
        "NOT_ENQUEUED": 0,
        "ENQUEUED": 1,
        "COMMITTED": 2,
        "SCHEDULED": 3,
        "COMPLETED": 4,
        "ERROR": 5,
    },
}

# Apple counts these up from 0 in this order; the sentinel behind them is left out.
MATRIX_IDS = [
    *(f"SINGLE_GATE_{what}" for what in ("INPUT_WEIGHTS", "RECURRENT_WEIGHTS", "BIAS_TERMS")),
    *(
        f"LSTM_{gate}_GATE_{what}"
        for gate in ("INPUT", "FORGET", "MEMORY", "OUTPUT")
        for what in ("INPUT_WEIGHTS", "RECURRENT_WEIGHTS", "MEMORY_WEIGHTS", "BIAS_TERMS")
    ),
    *(
        f"GRU_{gate}_GATE_{what}"
        for gate in ("INPUT", "RECURRENT")
        for what in ("INPUT_WEIGHTS", "RECURRENT_WEIGHTS", "BIAS_TERMS")
    ),
    *(f"GRU_OUTPUT_GATE_{what}" for what in ("INPUT_WEIGHTS", "RECURRENT_WEIGHTS", "INPUT_GATE_WEIGHTS", "BIAS_TERMS")),
]


@pytest.mark.parametrize("name", VALUES)
def test_values_are_apples(name: str) -> None:
    cases = getattr(enums, name).__members__
    assert {case: member.value for case, member in cases.items()} == VALUES[name]


def test_matrix_ids_count_up() -> None:
    assert [(case.name, case.value) for case in MPSRNNMatrixId] == [(name, i) for i, name in enumerate(MATRIX_IDS)]


def test_every_enum_is_public_documented_and_tested() -> None:
    defined = {name for name, cls in vars(enums).items() if inspect.isclass(cls) and cls.__module__ == enums.__name__}
    assert set(enums.__all__) == defined
    assert set(VALUES) | {"MPSRNNMatrixId"} == defined
    for name in defined:
        enum_type = getattr(enums, name)
        assert issubclass(enum_type, (IntEnum, IntFlag))
        assert enum_type.__doc__.strip()


def test_cases_are_integers_and_flags_combine() -> None:
    assert MPSImageFeatureChannelFormat(3) is MPSImageFeatureChannelFormat.FLOAT16
    assert MTLTextureUsage.SHADER_READ | MTLTextureUsage.SHADER_WRITE == 3
    assert MPSKernelOptions.VERBOSE in MPSKernelOptions(17)


@pytest.mark.parametrize(
    ("data_type", "size"),
    [
        (MPSDataType.UINT8, 1),
        (MPSDataType.INT16, 2),
        (MPSDataType.FLOAT16, 2),
        (MPSDataType.FLOAT32, 4),
        (MPSDataType.UINT64, 8),
        (MPSDataType.UNORM8, 1),
        (MPSDataType.BOOL, 1),
    ],
)
def test_element_size(data_type: MPSDataType, size: int) -> None:
    assert data_type.element_size == size


@pytest.mark.parametrize("data_type", [MPSDataType.INVALID, MPSDataType.UNORM1, MPSDataType.FLOAT_BIT])
def test_element_size_of_a_type_without_whole_bytes(data_type: MPSDataType) -> None:
    with pytest.raises(errors.BadArgumentError, match=f"MPSDataType.{data_type.name} has no size in whole bytes"):
        _ = data_type.element_size


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("BadArgumentError", ValueError),
        ("BadTypeError", TypeError),
        ("OutOfMemoryError", MemoryError),
        ("UnsupportedError", NotImplementedError),
        ("ClosedError", ValueError),
        ("CommandError", RuntimeError),
        ("KernelCompileError", RuntimeError),
        ("NoDeviceError", RuntimeError),
        ("InternalError", RuntimeError),
    ],
)
def test_exceptions_inherit_ours_and_the_builtin(name: str, builtin: type[Exception]) -> None:
    exception = getattr(errors, name)
    assert issubclass(exception, errors.Error)
    assert issubclass(exception, builtin)
    assert name in errors.__all__
