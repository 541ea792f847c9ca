"""Neurons, convolutions and data sources."""

from __future__ import annotations

import mpsrnn_cy as mps

from .entries import AppleClass, Kind, absent, class_method, initialiser, method, read_write

__all__ = ["WEIGHTS"]

_NEURON = AppleClass(
    "MPSNNNeuronDescriptor",
    "An activation and its parameters. Made by its factories alone, as Apple's; NSCopying is `copy`, NSSecureCoding "
    "is pickling.",
    (
        read_write("neuronType", mps.MPSCNNNeuronType.SIGMOID, "default: that of the factory's argument"),
        read_write("a", 0.0, "suggested by Apple's header for the function, if the factory is not given one"),
        read_write("b", 0.0, "likewise"),
        read_write("c", 0.0, "likewise"),
        read_write("data", None, "float32 array, or any buffer of float32"),
        class_method("cnnNeuronDescriptorWithType:", "cnnNeuronDescriptor(with:)"),
        class_method("cnnNeuronDescriptorWithType:a:", "cnnNeuronDescriptor(with:a:)"),
        class_method("cnnNeuronDescriptorWithType:a:b:", "cnnNeuronDescriptor(with:a:b:)"),
        class_method("cnnNeuronDescriptorWithType:a:b:c:", "cnnNeuronDescriptor(with:a:b:c:)"),
        class_method("cnnNeuronPReLUDescriptorWithData:noCopy:", "cnnNeuronPReLUDescriptor(with:noCopy:)"),
        absent(Kind.INITIALISER, "init", "init()", "unavailable in Apple's API"),
        method("copyWithZone:", "copy(with:)", "without the zone", without=("with_",)),
    ),
)

_DEPRECATED = "deprecated by Apple; over `fused_neuron_descriptor`, with a DeprecationWarning"
_NORMALISATION = "setBatchNormalizationParametersForInferenceWithMean"

_CONVOLUTION = AppleClass(
    "MPSCNNConvolutionDescriptor",
    "Geometry of a convolution, its neuron and its batch normalisation. NSCopying is `copy`, NSSecureCoding is "
    "pickling.",
    (
        initialiser(
            "cnnConvolutionDescriptorWithKernelWidth:kernelHeight:inputFeatureChannels:outputFeatureChannels:",
            "init(kernelWidth:kernelHeight:inputFeatureChannels:outputFeatureChannels:)",
        ),
        absent(
            Kind.INITIALISER,
            "cnnConvolutionDescriptorWithKernelWidth:kernelHeight:inputFeatureChannels:outputFeatureChannels:"
            "neuronFilter:",
            "init(kernelWidth:kernelHeight:inputFeatureChannels:outputFeatureChannels:neuronFilter:)",
            "deprecated by Apple; takes a kernel, MPSCNNNeuron, that the recurrent layers do not need",
        ),
        read_write("kernelWidth", note="default: 3, by the constructor's argument"),
        read_write("kernelHeight", note="likewise"),
        read_write("inputFeatureChannels"),
        read_write("outputFeatureChannels"),
        read_write("strideInPixelsX", 1, "recurrent layers refuse any other"),
        read_write("strideInPixelsY", 1, "likewise"),
        read_write("groups", 1),
        read_write("dilationRateX", 1),
        read_write("dilationRateY", 1),
        read_write("fusedNeuronDescriptor", note="default: one of type NONE"),
        method(
            f"{_NORMALISATION}:variance:gamma:beta:epsilon:", f"{_NORMALISATION}(_ mean:variance:gamma:beta:epsilon:)"
        ),
        method(
            "setNeuronType:parameterA:parameterB:", "setNeuronType(_ neuronType:parameterA:parameterB:)", _DEPRECATED
        ),
        method("neuronType", "neuronType()", _DEPRECATED),
        method("neuronParameterA", "neuronParameterA()", _DEPRECATED),
        method("neuronParameterB", "neuronParameterB()", _DEPRECATED),
        method("setNeuronToPReLUWithParametersA:", "setNeuronToPReLUWithParametersA(_ a:)", _DEPRECATED),
        read_write("neuron", None, f"{_DEPRECATED}; an `MPSNNNeuronDescriptor` in the place of Apple's kernel"),
        method("copyWithZone:", "copy(with:)", "without the zone", without=("with_",)),
    ),
    ours={"batch_normalization": "what the method has set; Apple's class keeps it to itself"},
)

_UPDATE = "for graph training, in which recurrent layers take no part"

_DATA_SOURCE = AppleClass(
    "MPSCNNConvolutionDataSource",
    "A protocol: any object with its seven required methods is a data source. The optional ones are looked for. "
    "`ArrayDataSource` is ours, and has them all.",
    (
        method("dataType", "dataType()"),
        method("descriptor", "descriptor()"),
        method("weights", "weights()", "any buffer of the data type"),
        method("biasTerms", "biasTerms()", "a buffer of float32, or None; asked of input weights alone"),
        method("load", "load()"),
        method("purge", "purge()"),
        method("label", "label()"),
        method("rangesForUInt8Kernel", "rangesForUInt8Kernel()", "optional"),
        method("lookupTableForUInt8Kernel", "lookupTableForUInt8Kernel()", "optional"),
        method("weightsQuantizationType", "weightsQuantizationType()", "optional"),
        method("weightsLayout", "weightsLayout()", "optional"),
        method("kernelWeightsDataType", "kernelWeightsDataType()", "optional; not asked: use_float32_weights says it"),
        method("copyWithZone:device:", "copy(with:device:)", "optional; a layer's copy has the weights already"),
        absent(
            Kind.METHOD,
            "updateWithCommandBuffer:gradientState:sourceState:",
            "update(with commandBuffer:gradientState:sourceState:)",
            _UPDATE,
        ),
        absent(Kind.METHOD, "updateWithGradientState:sourceState:", "update(with gradientState:sourceState:)", _UPDATE),
    ),
)

_DEPTH_WISE = AppleClass(
    "MPSCNNDepthWiseConvolutionDescriptor",
    "Not here: nothing says that recurrent layers take depth-wise convolutions, and a group of theirs holds a multiple "
    "of four channels. Diagonal memory weights may be described as depth-wise, by `groups`.",
    (absent(Kind.READ_ONLY, "channelMultiplier", "channelMultiplier", "with its class"),),
    base="MPSCNNConvolutionDescriptor",
    exists=False,
)

WEIGHTS = (_NEURON, _CONVOLUTION, _DEPTH_WISE, _DATA_SOURCE)
