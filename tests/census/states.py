"""States."""

from __future__ import annotations

from .entries import AppleClass, Kind, absent, class_method, initialiser, method, read_only, read_write

__all__ = ["STATES"]

_STATE = AppleClass(
    "MPSState",
    "Something that one kernel leaves for another.",
    (
        class_method("temporaryStateWithCommandBuffer:", "temporaryState(with:)", "read_count starts at 1"),
        class_method("temporaryStateWithCommandBuffer:bufferSize:", "temporaryState(with:bufferSize:)"),
        class_method("temporaryStateWithCommandBuffer:textureDescriptor:", "temporaryState(with:textureDescriptor:)"),
        class_method("temporaryStateWithCommandBuffer:resourceList:", "temporaryState(with:resourceList:)"),
        initialiser("initWithDevice:bufferSize:", "init(device:bufferSize:)"),
        initialiser("initWithDevice:textureDescriptor:", "init(device:textureDescriptor:)"),
        initialiser("initWithDevice:resourceList:", "init(device:resourceList:)"),
        initialiser("initWithResource:", "init(resource:)"),
        initialiser("initWithResources:", "init(resources:)"),
        absent(Kind.INITIALISER, "init", "init()", "unavailable in Apple's API"),
        read_only("resourceCount"),
        method("resourceAtIndex:allocateMemory:", "resource(at:allocateMemory:)"),
        method("bufferSizeAtIndex:", "bufferSize(at:)"),
        method("textureInfoAtIndex:", "textureInfo(at:)"),
        method("resourceTypeAtIndex:", "resourceType(at:)"),
        read_write("readCount", note="1 for temporary ones; 0 for others, which cannot be set"),
        read_only("isTemporary"),
        read_write("label", None),
        method("synchronizeOnCommandBuffer:", "synchronize(on:)"),
        method("resourceSize", "resourceSize()"),
        method(
            "destinationImageDescriptorForSourceImages:sourceStates:forKernel:suggestedDescriptor:",
            "destinationImageDescriptor(forSourceImages:sourceStates:for:suggestedDescriptor:)",
            "a hook for padding; returns the suggestion",
        ),
        absent(Kind.READ_ONLY, "resource", "resource", "deprecated by Apple; `resource(at, allocate_memory)`"),
    ),
    ours={"device": "where its resources live"},
)

_RESOURCE_LIST = AppleClass(
    "MPSStateResourceList",
    "What a state is to be made of.",
    (
        initialiser("resourceList", "init()"),
        method("appendTexture:", "appendTexture(_ descriptor:)"),
        method("appendBuffer:", "appendBuffer(_ size:)"),
    ),
    ours={"make_resources": "the resources of one state, before they have memory"},
)

_TEXTURE_INFO = AppleClass(
    "MPSStateTextureInfo",
    "A structure: the texture of a state, before it exists.",
    tuple(
        read_only(name) for name in ("width", "height", "depth", "arrayLength", "pixelFormat", "textureType", "usage")
    ),
)

_MADE = "made by an encode call in Apple's API; `from_numpy` is ours"
_EXTRAS = {"from_numpy": "a state of arrays, to start from", "number_of_layers": "layers that it has something for"}

_IMAGE_STATE = AppleClass(
    "MPSRNNRecurrentImageState",
    "h and c of every layer, as images.",
    (
        method(
            "getRecurrentOutputImageForLayerIndex:",
            "getRecurrentOutputImage(forLayerIndex:)",
            "None if there is no such layer",
        ),
        method(
            "getMemoryCellImageForLayerIndex:", "getMemoryCellImage(forLayerIndex:)", "None for all but LSTMs as well"
        ),
        absent(Kind.INITIALISER, "init", "init()", _MADE),
    ),
    base="MPSState",
    ours=_EXTRAS,
)

_MATRIX_STATE = AppleClass(
    "MPSRNNRecurrentMatrixState",
    "h and c of every layer, as matrices.",
    (
        method(
            "getRecurrentOutputMatrixForLayerIndex:",
            "getRecurrentOutputMatrix(forLayerIndex:)",
            "None if there is no such layer",
        ),
        method(
            "getMemoryCellMatrixForLayerIndex:", "getMemoryCellMatrix(forLayerIndex:)", "None for all but LSTMs as well"
        ),
        absent(Kind.INITIALISER, "init", "init()", _MADE),
    ),
    base="MPSState",
    ours={**_EXTRAS, "rows": "sequences of the batch"},
)

_TRAINING_STATE = AppleClass(
    "MPSRNNMatrixTrainingState",
    "What the gradient of one time step needs; nothing of it is public.",
    (),
    base="MPSState",
    ours={"rows": "sequences of the batch"},
)

STATES = (_STATE, _RESOURCE_LIST, _TEXTURE_INFO, _IMAGE_STATE, _MATRIX_STATE, _TRAINING_STATE)
