cimport numpy as cnp

from . cimport native
from .device cimport MTLCommandQueue, MTLDevice
from .image_state cimport MPSRNNRecurrentImageState


# Arrays of frames, (T, H, W, C) or (T, N, H, W, C) of float32 or float16, and the images that some of them are in while
# a layer runs: as many as fit into a few megabytes, one group of frames after the other.
cdef class ImageFrames:
    cdef MTLDevice device
    # What the frames are like as images.
    cdef native.mpsrnn_image_descriptor source, destination
    cdef object _frames
    cdef size_t _count
    # Of one group.
    cdef size_t _group
    cdef native.mpsrnn_image *_sources
    cdef native.mpsrnn_image *_destinations
    # After the last group; NULL before, and if nobody asked for it.
    cdef native.mpsrnn_image_state _state

    # An array for what the layer makes of them. It is memory of the device, which keeps what is large for the next
    # call: fresh pages would take longer than the results to write.
    cdef cnp.ndarray outputs(self)

    # Runs the layer over all of them into `outputs`, which is in C order. Returns the state after the last one if it is
    # wanted.
    cdef MPSRNNRecurrentImageState run(
        self, native.mpsrnn_image_layer layer, MTLCommandQueue queue, cnp.ndarray outputs, state, bint wants_state
    )


# Takes an array that has been checked.
cdef ImageFrames image_frames(frames, MTLDevice device, native.uint32_t output_channels)
