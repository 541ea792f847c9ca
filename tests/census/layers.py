"""Kernels: the layers and what they inherit; the unarchiver that reads them."""

from __future__ import annotations

import mpsrnn_cy as mps

from .entries import AppleClass, Constant, Kind, absent, class_method, initialiser, method, read_only, read_write

__all__ = ["LAYERS"]

_KERNEL = AppleClass(
    "MPSKernel",
    "What all layers have in common. NSCopying is `copy`, NSSecureCoding is `to_bytes` and `from_bytes`.",
    (
        read_write(
            "options",
            mps.MPSKernelOptions.NONE,
            "kept; only `ALLOW_REDUCED_PRECISION` has an effect, on batches of matrices",
        ),
        read_only("device"),
        read_write("label", None),
        absent(
            Kind.INITIALISER,
            "initWithDevice:",
            "init(device:)",
            "unavailable in Apple's layers; a kernel is a base class",
        ),
        absent(
            Kind.INITIALISER, "initWithCoder:device:", "init?(coder:device:)", "`from_bytes` and `MPSKeyedUnarchiver`"
        ),
        absent(Kind.INITIALISER, "initWithCoder:", "init?(coder:)", "`from_bytes` without a device"),
        method("copyWithZone:device:", "copy(with:device:)", "without the zone", without=("with_",)),
    ),
    ours={
        "to_bytes": "the layer as an archive; what encodeWithCoder: is for",
        "from_bytes": "the layer of an archive; what initWithCoder:device: is for",
        "save": "`to_bytes` into a file",
        "load": "`from_bytes` of a file",
    },
)

_NO_EFFECT = "no effect on recurrent encodes"
_RETURNED = "no effect on recurrent encodes: only methods that return an image would ask it"
_SINGLE = "inherited in Apple's API; a recurrent layer encodes sequences alone, `predict` runs one"

_CNN_KERNEL = AppleClass(
    "MPSCNNKernel",
    "The base of kernels over images.",
    (
        read_write("offset", (0, 0, 0), _NO_EFFECT),
        read_write("clipRect", Constant("MPSRectNoClip"), _NO_EFFECT),
        read_write("destinationFeatureChannelOffset", 0, _NO_EFFECT),
        read_write("sourceFeatureChannelOffset", 0, _NO_EFFECT),
        read_write("sourceFeatureChannelMaxCount", 2**64 - 1, _NO_EFFECT),
        read_write("edgeMode", mps.MPSImageEdgeMode.ZERO, _NO_EFFECT),
        read_only("kernelWidth", 1, "of the input weights of the first layer's first gate; 1 without any"),
        read_only("kernelHeight", 1, "likewise"),
        read_only("strideInPixelsX", 1),
        read_only("strideInPixelsY", 1),
        read_only("dilationRateX", 1, "as kernel_width"),
        read_only("dilationRateY", 1, "as kernel_width"),
        read_only("isBackwards", False),
        read_only("isStateModified", False),
        read_write("padding", None, _RETURNED),
        read_write("destinationImageAllocator", note=f"default: MPSTemporaryImage.default_allocator(); {_RETURNED}"),
        absent(
            Kind.METHOD,
            "encodeToCommandBuffer:sourceImage:destinationImage: and relatives",
            "encode(commandBuffer:sourceImage:destinationImage:) ...",
            _SINGLE,
        ),
        absent(
            Kind.METHOD,
            "encodeBatchToCommandBuffer:sourceImages:destinationImages: and relatives",
            "encodeBatch(commandBuffer:sourceImages:destinationImages:) ...",
            _SINGLE,
        ),
        absent(
            Kind.METHOD,
            "resultStateForSourceImage:sourceStates:destinationImage: and relatives",
            "resultState(sourceImage:sourceStates:destinationImage:) ...",
            "inherited in Apple's API; states of recurrent layers come out of their encode calls",
        ),
    ),
    base="MPSKernel",
)

_STACK = (
    read_only("inputFeatureChannels", note="of the first layer"),
    read_only("outputFeatureChannels", note="of the last layer, whatever the directions"),
    read_only("numberOfLayers"),
    read_write("recurrentOutputIsTemporary", False),
    read_write("storeAllIntermediateStates", False),
    read_write("bidirectionalCombineMode", mps.MPSRNNBidirectionalCombineMode.NONE),
    initialiser("initWithDevice:rnnDescriptor:", "init(device:rnnDescriptor:)", "takes a list too"),
    initialiser("initWithDevice:rnnDescriptors:", "init(device:rnnDescriptors:)"),
)
_OURS = {
    "predict": "runs over an array and waits",
    "encode": "one time step: the method that examples in Apple's header use and no header declares",
}

_IMAGE_LAYER = AppleClass(
    "MPSRNNImageInferenceLayer",
    "Recurrent layers over images.",
    (
        *_STACK,
        method(
            "encodeSequenceToCommandBuffer:sourceImages:destinationImages:recurrentInputState:recurrentOutputStates:",
            "encodeSequence(commandBuffer:sourceImages:destinationImages:recurrentInputState:recurrentOutputStates:)",
        ),
        method(
            "encodeBidirectionalSequenceToCommandBuffer:sourceSequence:destinationForwardImages:"
            "destinationBackwardImages:",
            "encodeBidirectionalSequence(commandBuffer:sourceSequence:destinationForwardImages:"
            "destinationBackwardImages:)",
            "takes a starting state too, which is ours",
        ),
    ),
    base="MPSCNNKernel",
    ours=_OURS,
)

_MATRIX_LAYER = AppleClass(
    "MPSRNNMatrixInferenceLayer",
    "Recurrent layers over matrices; rows are the batch.",
    (
        *_STACK,
        method(
            "encodeSequenceToCommandBuffer:sourceMatrices:destinationMatrices:recurrentInputState:"
            "recurrentOutputStates:",
            "encodeSequence(commandBuffer:sourceMatrices:destinationMatrices:recurrentInputState:"
            "recurrentOutputStates:)",
        ),
        method(
            "encodeSequenceToCommandBuffer:sourceMatrices:sourceOffsets:destinationMatrices:destinationOffsets:"
            "recurrentInputState:recurrentOutputStates:",
            "encodeSequence(commandBuffer:sourceMatrices:sourceOffsets:destinationMatrices:destinationOffsets:"
            "recurrentInputState:recurrentOutputStates:)",
            "the offsets, in bytes, by keyword",
        ),
        method(
            "encodeBidirectionalSequenceToCommandBuffer:sourceSequence:destinationForwardMatrices:"
            "destinationBackwardMatrices:",
            "encodeBidirectionalSequence(commandBuffer:sourceSequence:destinationForwardMatrices:"
            "destinationBackwardMatrices:)",
        ),
    ),
    base="MPSKernel",
    ours=_OURS,
)

_TRAINING_LAYER = AppleClass(
    "MPSRNNMatrixTrainingLayer",
    "One recurrent layer over matrices, with its gradient.",
    (
        read_only("inputFeatureChannels"),
        read_only("outputFeatureChannels"),
        read_write("storeAllIntermediateStates", False),
        read_write("recurrentOutputIsTemporary", False),
        read_write("trainingStateIsTemporary", False),
        read_write(
            "accumulateWeightGradients", False, "followed, though a comment of Apple's header says they accumulate"
        ),
        initialiser(
            "initWithDevice:rnnDescriptor:trainableWeights:",
            "init(device:rnnDescriptor:trainableWeights:)",
            "fills the list",
        ),
        method(
            "createWeightGradientMatrices:dataType:", "createWeightGradientMatrices(_ matricesOut:dataType:)", "appends"
        ),
        method(
            "createTemporaryWeightGradientMatrices:dataType:commandBuffer:",
            "createTemporaryWeightGradientMatrices(_ matricesOut:dataType:commandBuffer:)",
            "appends",
        ),
        method("createWeightMatrices:", "createWeightMatrices(_ matricesOut:)", "appends"),
        method(
            "encodeCopyWeightsToCommandBuffer:weights:matrixId:matrix:copyFromWeightsToMatrix:matrixOffset:",
            "encodeCopyWeights(commandBuffer:weights:matrixId:matrix:copyFromWeightsToMatrix:matrixOffset:)",
        ),
        method(
            "encodeForwardSequenceToCommandBuffer:sourceMatrices:destinationMatrices:trainingStates:weights:",
            "encodeForwardSequence(commandBuffer:sourceMatrices:destinationMatrices:trainingStates:weights:)",
        ),
        method(
            "encodeForwardSequenceToCommandBuffer:sourceMatrices:sourceOffsets:destinationMatrices:"
            "destinationOffsets:trainingStates:recurrentInputState:recurrentOutputStates:weights:",
            "encodeForwardSequence(commandBuffer:sourceMatrices:sourceOffsets:destinationMatrices:"
            "destinationOffsets:trainingStates:recurrentInputState:recurrentOutputStates:weights:)",
            "the states may be omitted, as Apple's types say and its text does not",
        ),
        method(
            "encodeGradientSequenceToCommandBuffer:forwardSources:sourceGradients:destinationGradients:"
            "weightGradients:trainingStates:weights:",
            "encodeGradientSequence(commandBuffer:forwardSources:sourceGradients:destinationGradients:"
            "weightGradients:trainingStates:weights:)",
        ),
        method(
            "encodeGradientSequenceToCommandBuffer:forwardSources:forwardSourceOffsets:sourceGradients:"
            "sourceGradientOffsets:destinationGradients:destinationOffsets:weightGradients:trainingStates:"
            "recurrentInputState:recurrentOutputStates:weights:",
            "encodeGradientSequence(commandBuffer:forwardSources:forwardSourceOffsets:sourceGradients:"
            "sourceOffsets:destinationGradients:destinationOffsets:weightGradients:trainingStates:"
            "recurrentInputState:recurrentOutputStates:weights:)",
            "sourceOffsets, those of the source gradients, is Swift's label",
        ),
    ),
    base="MPSKernel",
    ours={
        "trainable_matrix_ids": "the ids of the weight matrices, in the order of the lists",
        "create_initial_weight_matrices": "weights of the data sources, as the constructor makes them; for copies of a "
        "layer",
    },
)

_OLDER = "deprecated by Apple since macOS 10.14; `unarchived_object`"

_UNARCHIVER = AppleClass(
    "MPSKeyedUnarchiver",
    "Reads what `to_bytes` of a layer makes. Apple's archive format is private; ours is safetensors.",
    (
        class_method(
            "unarchivedObjectOfClass:fromData:device:error:", "unarchivedObject(of:from:device:)", "raises an error"
        ),
        class_method(
            "unarchivedObjectOfClasses:fromData:device:error:",
            "unarchivedObject(ofClasses:from:device:)",
            "the class that the archive names must be among them",
        ),
        initialiser("initForReadingFromData:device:error:", "init(forReadingFrom:device:)", "raises an error"),
        method("mpsMTLDevice", "mpsMTLDevice()"),
        absent(Kind.CLASS_METHOD, "unarchiveObjectWithData:device:", "unarchiveObject(with:device:)", _OLDER),
        absent(
            Kind.CLASS_METHOD,
            "unarchiveTopLevelObjectWithData:device:error:",
            "unarchiveTopLevelObject(with:device:)",
            _OLDER,
        ),
        absent(Kind.CLASS_METHOD, "unarchiveObjectWithFile:device:", "unarchiveObject(withFile:device:)", _OLDER),
        absent(Kind.INITIALISER, "initWithDevice:", "init?(device:)", _OLDER),
        absent(Kind.INITIALISER, "initForReadingWithData:device:", "init(forReadingWith:device:)", _OLDER),
    ),
    ours={"decode_object": "the root object; NSKeyedUnarchiver's decodeObjectForKey: with its root key"},
)

LAYERS = (_KERNEL, _CNN_KERNEL, _IMAGE_LAYER, _MATRIX_LAYER, _TRAINING_LAYER, _UNARCHIVER)
