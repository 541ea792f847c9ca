from . cimport native
from .device cimport MTLDevice
from .image_encoding cimport NativeImages
from .image_state cimport MPSRNNRecurrentImageState
from .memory_ranges cimport MemoryRange


# Images of an encode call and where they lie.
cdef class PlainImages:
    cdef NativeImages images
    # Room for those of a state besides.
    cdef MemoryRange *ranges
    cdef size_t range_count
    # What all of them are like, but for the channels.
    cdef native.mpsrnn_image_descriptor extent


# The usual case of what `sequence_checks` checks. These return None, or False, wherever there is anything to be looked
# at more closely: what is wrong, but temporaries and equal devices as well. `like` are the sources, for
# destinations; `layers` is as long as the stack, for the images of a state.
cdef PlainImages plain_images(
    images, MTLDevice device, native.uint32_t channels, native.uint32_t usage, PlainImages like, size_t layers
)
# Whether a state, or None, fits `layers`, (channels, whether there is a memory cell) of each. Its ranges join those of
# the sources.
cdef bint add_state(PlainImages sources, state, MTLDevice device, tuple layers) except -1
# Whether a state, or None, fits them and images like this one.
cdef bint state_is_plain(
    state, const native.mpsrnn_image_descriptor *extent, MTLDevice device, tuple layers
) except -1
# Whether the destinations share memory with what is read. It spoils the ranges.
cdef bint share_memory(PlainImages sources, PlainImages destinations)
