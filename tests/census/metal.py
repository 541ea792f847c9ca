"""The part of Metal that the layers are used with. Metal has much more; what it has of this is told here."""

from __future__ import annotations

import mpsrnn_cy as mps

from .entries import AppleClass, Kind, absent, class_method, method, read_only, read_write

__all__ = ["METAL"]

_DEVICE = AppleClass(
    "MTLDevice",
    "Made by `MTLCreateSystemDefaultDevice` and `MTLCopyAllDevices`.",
    (
        read_only("name"),
        read_only("registryID"),
        read_only("maxBufferLength"),
        read_only("currentAllocatedSize"),
        method("newCommandQueue", "makeCommandQueue()"),
        method("newBufferWithLength:options:", "makeBuffer(length:options:)", "options is an `MTLStorageMode`"),
        method("newTextureWithDescriptor:", "makeTexture(descriptor:)"),
        method("newBufferWithBytes:length:options:", "makeBuffer(bytes:length:options:)"),
    ),
    ours={"number_of_threads": "CPU threads of a portable device"},
)

_QUEUE = AppleClass(
    "MTLCommandQueue",
    "Made by `MTLDevice.make_command_queue`.",
    (read_only("device"), method("commandBuffer", "makeCommandBuffer()")),
)

_COMMAND_BUFFER = AppleClass(
    "MTLCommandBuffer",
    "Made by `MTLCommandQueue.make_command_buffer`.",
    (
        read_only("device"),
        read_only("commandQueue"),
        read_only("status", mps.MTLCommandBufferStatus.NOT_ENQUEUED),
        read_only("error", None),
        read_only("gpuStartTime", objc="GPUStartTime"),
        read_only("gpuEndTime", objc="GPUEndTime"),
        method("addCompletedHandler:", "addCompletedHandler(_ block:)"),
        method("commit", "commit()"),
        method("waitUntilCompleted", "waitUntilCompleted()"),
    ),
    ours={"dispatch_count": "dispatches encoded so far"},
)

_BUFFER = AppleClass(
    "MTLBuffer",
    "Made by `MTLDevice.make_buffer`.",
    (
        read_only("device"),
        read_only("length"),
        read_only("allocatedSize"),
        read_only("storageMode"),
        read_write("label", None),
        method("contents", "contents()", "a writable memoryview; None for private storage"),
    ),
)

_TEXTURE = AppleClass(
    "MTLTexture",
    "What an image is stored in: `MPSImage.texture`.",
    (
        read_only("device"),
        read_only("width"),
        read_only("height"),
        absent(Kind.READ_ONLY, "depth", "depth", "images are of two dimensions"),
        read_only("arrayLength"),
        read_only("pixelFormat"),
        read_only("textureType"),
        read_only("usage"),
        read_only("storageMode"),
        read_only("allocatedSize"),
        read_write("label", None),
    ),
)

_TEXTURE_DESCRIPTOR = AppleClass(
    "MTLTextureDescriptor",
    "A texture, before it exists.",
    (
        read_write("textureType", mps.MTLTextureType.TYPE_2D),
        read_write("pixelFormat"),
        read_write("width", 1),
        read_write("height", 1),
        absent(Kind.READ_WRITE, "depth", "depth", "images are of two dimensions"),
        read_write("arrayLength", 1),
        read_write("usage"),
        read_write("storageMode"),
        class_method(
            "texture2DDescriptorWithPixelFormat:width:height:mipmapped:",
            "texture2DDescriptor(pixelFormat:width:height:mipmapped:)",
        ),
    ),
    ours={"copy": "an independent copy"},
)

METAL = (_DEVICE, _QUEUE, _COMMAND_BUFFER, _BUFFER, _TEXTURE, _TEXTURE_DESCRIPTOR)
