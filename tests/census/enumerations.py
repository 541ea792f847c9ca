"""Enumerations, by their Swift cases."""

from __future__ import annotations

from .entries import AppleEnum

__all__ = ["ENUMS"]

_FLOAT, _SIGNED, _NORMALIZED, _ALTERNATE = 0x10000000, 0x20000000, 0x40000000, 0x80000000

_GATES = (
    *(
        f"lstm{gate}Gate{what}"
        for gate in ("Input", "Forget", "Memory", "Output")
        for what in ("InputWeights", "RecurrentWeights", "MemoryWeights", "BiasTerms")
    ),
    *(
        f"gru{gate}Gate{what}"
        for gate in ("Input", "Recurrent")
        for what in ("InputWeights", "RecurrentWeights", "BiasTerms")
    ),
    *(f"gruOutputGate{what}" for what in ("InputWeights", "RecurrentWeights", "InputGateWeights", "BiasTerms")),
)
_MATRIX_IDS = ("SingleGateInputWeights", "singleGateRecurrentWeights", "singleGateBiasTerms", *_GATES)

_NEURONS = (
    "none",
    "reLU",
    "linear",
    "sigmoid",
    "hardSigmoid",
    "tanH",
    "absolute",
    "softPlus",
    "softSign",
    "ELU",
    "pReLU",
    "reLUN",
    "power",
    "exponential",
    "logarithm",
    "geLU",
    "count",
)


def _counted(*cases: str) -> dict[str, int]:
    return {name: value for value, name in enumerate(cases)}


ENUMS = (
    AppleEnum("MPSRNNSequenceDirection", _counted("forward", "backward")),
    AppleEnum("MPSRNNBidirectionalCombineMode", _counted("none", "add", "concatenate")),
    AppleEnum(
        "MPSRNNMatrixId",
        {**_counted(*_MATRIX_IDS), "_count": 29},
        note="Swift keeps the capital of the first case",
        omitted={"_count": "a sentinel that is no id"},
    ),
    AppleEnum("MPSCNNNeuronType", _counted(*_NEURONS)),
    AppleEnum(
        "MPSImageFeatureChannelFormat",
        {**_counted("none", "unorm8", "unorm16", "float16", "float32"), "_reserved0": 5, "count": 6},
        omitted={"_reserved0": "reserved by Apple"},
    ),
    AppleEnum("MPSImageEdgeMode", _counted("zero", "clamp", "mirror", "mirrorWithEdge", "constant")),
    AppleEnum("MPSDataLayout", _counted("HeightxWidthxFeatureChannels", "featureChannelsxHeightxWidth")),
    AppleEnum("MPSCNNConvolutionWeightsLayout", {"OHWI": 0}),
    AppleEnum(
        "MPSCNNWeightsQuantizationType",
        _counted("none", "linear", "lookupTable"),
        note="all three are called none in Swift; the names are Objective-C's",
    ),
    AppleEnum(
        "MPSKernelOptions",
        {
            "none": 0,
            "skipAPIValidation": 1,
            "allowReducedPrecision": 2,
            "disableInternalTiling": 4,
            "insertDebugGroups": 8,
            "verbose": 16,
        },
        note="a set of bits",
    ),
    AppleEnum("MPSStateResourceType", _counted("none", "buffer", "texture")),
    AppleEnum("MPSPurgeableState", _counted("allocationDeferred", "keepCurrent", "nonVolatile", "volatile", "empty")),
    AppleEnum("MPSNNConvolutionAccumulatorPrecisionOption", _counted("half", "float"), note="a set of bits"),
    AppleEnum(
        "MPSDataType",
        {
            "invalid": 0,
            "floatBit": _FLOAT,
            "float32": _FLOAT | 32,
            "float16": _FLOAT | 16,
            "complexBit": 0x01000000,
            "signedBit": _SIGNED,
            **{f"int{bits}": _SIGNED | bits for bits in (8, 16, 32, 64)},
            **{f"uInt{bits}": bits for bits in (8, 16, 32, 64)},
            "normalizedBit": _NORMALIZED,
            "unorm1": _NORMALIZED | 1,
            "unorm8": _NORMALIZED | 8,
            "alternateEncodingBit": _ALTERNATE,
            "bool": _ALTERNATE | 8,
        },
        note="the low 16 bits count the bits of an element",
        ours={"element_size": "bytes of an element"},
    ),
    AppleEnum(
        "MTLPixelFormat",
        {
            "r8Unorm": 10,
            "r16Unorm": 20,
            "r16Float": 25,
            "rg8Unorm": 30,
            "r32Float": 55,
            "rg16Unorm": 60,
            "rg16Float": 65,
            "rgba8Unorm": 70,
            "bgra8Unorm": 80,
            "rg32Float": 105,
            "rgba16Unorm": 110,
            "rgba16Float": 115,
            "rgba32Float": 125,
        },
        note="those of images of feature channels; Metal has more",
    ),
    AppleEnum("MTLTextureType", {"type2D": 2, "type2DArray": 3}, note="Metal has more"),
    AppleEnum(
        "MTLTextureUsage", {"unknown": 0, "shaderRead": 1, "shaderWrite": 2}, note="a set of bits; Metal has more"
    ),
    AppleEnum("MTLStorageMode", _counted("shared", "managed", "private", "memoryless")),
    AppleEnum("MTLCPUCacheMode", _counted("defaultCache", "writeCombined")),
    AppleEnum(
        "MTLCommandBufferStatus", _counted("notEnqueued", "enqueued", "committed", "scheduled", "completed", "error")
    ),
)
