"""Images, and the structures that go with them."""

from __future__ import annotations

import mpsrnn_cy as mps

from .entries import AppleClass, Kind, absent, class_method, initialiser, method, read_only, read_write

__all__ = ["IMAGES"]

_USAGE = mps.MTLTextureUsage.SHADER_READ | mps.MTLTextureUsage.SHADER_WRITE

_DESCRIPTOR = AppleClass(
    "MPSImageDescriptor",
    "An image, before it exists. NSCopying is `copy`.",
    (
        initialiser(
            "imageDescriptorWithChannelFormat:width:height:featureChannels:",
            "init(channelFormat:width:height:featureChannels:)",
        ),
        initialiser(
            "imageDescriptorWithChannelFormat:width:height:featureChannels:numberOfImages:usage:",
            "init(channelFormat:width:height:featureChannels:numberOfImages:usage:)",
        ),
        read_write("width"),
        read_write("height"),
        read_write("featureChannels"),
        read_write("numberOfImages", 1),
        read_only("pixelFormat", note="follows from the channels and their format"),
        read_write("channelFormat", note="none is refused: nothing to derive it from"),
        read_write("cpuCacheMode", mps.MTLCPUCacheMode.DEFAULT_CACHE, "kept, without effect"),
        read_write("storageMode", mps.MTLStorageMode.SHARED, "SHARED or PRIVATE; there is no managed storage"),
        read_write("usage", _USAGE),
        method("copyWithZone:", "copy(with:)", "without the zone", without=("with_",)),
    ),
)

_LAYOUT = "dataLayout:bytesPerRow:region:featureChannelInfo:imageIndex:"
_IMAGES = "dataLayout:bytesPerRow:bytesPerImage:region:featureChannelInfo:imageIndex:"
_COLUMNS = "dataLayout:bytesPerColumn:bytesPerRow:bytesPerImage:region:featureChannelInfo:imageIndex:"

_IMAGE = AppleClass(
    "MPSImage",
    "An image of any number of feature channels, or a batch of such.",
    (
        class_method("defaultAllocator", "defaultAllocator()"),
        read_only("device"),
        read_only("width"),
        read_only("height"),
        read_only("featureChannels"),
        read_only("numberOfImages"),
        read_only("textureType"),
        read_only("pixelFormat"),
        read_only("precision", note="8, 16, 11 for float16, 24 for float32"),
        read_only("usage"),
        read_only("featureChannelFormat"),
        read_only("pixelSize", note="bytes of a texel"),
        read_only("texture"),
        read_write("label", None),
        read_only("parent", None),
        initialiser("initWithDevice:imageDescriptor:", "init(device:imageDescriptor:)"),
        initialiser("initWithParentImage:sliceRange:featureChannels:", "init(parentImage:sliceRange:featureChannels:)"),
        initialiser("initWithTexture:featureChannels:", "init(texture:featureChannels:)"),
        method("batchRepresentation", "batchRepresentation()"),
        method("batchRepresentationWithSubRange:", "batchRepresentation(withSubRange:)"),
        method("subImageWithFeatureChannelRange:", "subImage(withFeatureChannelRange:)"),
        method("resourceSize", "resourceSize()", "0 for views and for images made from a texture"),
        absent(
            Kind.METHOD,
            "setPurgeableState:",
            "setPurgeableState(_ state:)",
            "nothing here can be purged; `MPSPurgeableState` has the values",
        ),
        method("readBytes:dataLayout:imageIndex:", "readBytes(_ dataBytes:dataLayout:imageIndex:)"),
        method(f"readBytes:{_LAYOUT}", f"readBytes(_ dataBytes:{_LAYOUT})"),
        method(f"readBytes:{_IMAGES}", f"readBytes(_ dataBytes:{_IMAGES})"),
        method("writeBytes:dataLayout:imageIndex:", "writeBytes(_ dataBytes:dataLayout:imageIndex:)"),
        method(f"writeBytes:{_LAYOUT}", f"writeBytes(_ dataBytes:{_LAYOUT})"),
        method(f"writeBytes:{_IMAGES}", f"writeBytes(_ dataBytes:{_IMAGES})"),
        method(f"writeBytes:{_COLUMNS}", f"writeBytes(_ dataBytes:{_COLUMNS})"),
        method("synchronizeOnCommandBuffer:", "synchronize(on:)", "checks, then does nothing: storage is shared"),
    ),
    ours={
        "from_numpy": "an image of an array",
        "to_numpy": "the array of an image",
        "storage_mode": "as its descriptor says",
        "storage_range": "which bytes of which storage it takes up, for checks of overlap",
    },
)

_TEMPORARY = AppleClass(
    "MPSTemporaryImage",
    "An image that lives on one command buffer, out of the CPU's reach.",
    (
        initialiser("temporaryImageWithCommandBuffer:imageDescriptor:", "init(commandBuffer:imageDescriptor:)"),
        initialiser("temporaryImageWithCommandBuffer:textureDescriptor:", "init(commandBuffer:textureDescriptor:)"),
        initialiser(
            "temporaryImageWithCommandBuffer:textureDescriptor:featureChannels:",
            "init(commandBuffer:textureDescriptor:featureChannels:)",
        ),
        class_method(
            "prefetchStorageWithCommandBuffer:imageDescriptorList:", "prefetchStorage(with:imageDescriptorList:)"
        ),
        read_write("readCount", 1),
    ),
    base="MPSImage",
)


def _structure(name: str, summary: str, *fields: str) -> AppleClass:
    return AppleClass(name, summary, tuple(read_only(name) for name in fields))


_STRUCTURES = (
    _structure(
        "MPSImageReadWriteParams",
        "A structure, here a named tuple: which feature channels are read or written.",
        "featureChannelOffset",
        "numberOfFeatureChannelsToReadWrite",
    ),
    _structure("MPSOffset", "A structure, here a named tuple: a signed distance.", "x", "y", "z"),
    _structure("MTLOrigin", "A structure, here a named tuple: where a region starts.", "x", "y", "z"),
    _structure("MTLSize", "A structure, here a named tuple: how far a region reaches.", "width", "height", "depth"),
    _structure("MTLRegion", "A structure, here a named tuple: a box.", "origin", "size"),
)

IMAGES = (_DESCRIPTOR, _IMAGE, _TEMPORARY, *_STRUCTURES)
