from .device cimport MTLDevice


# What all layers share. A layer sets `_cells` in its __cinit__, which takes the cells of another layer in place of
# descriptors where `key` is not None, and extends `_settings`.
cdef class MPSKernel:
    cdef readonly MTLDevice device
    cdef str _label
    cdef object _options
    cdef tuple _cells

    # Everything that can be set, by the names of the properties; plain types where there are any, for archives.
    cdef dict _settings(self)


cdef class MPSCNNKernel(MPSKernel):
    cdef object _offset
    cdef object _clip_rect
    cdef object _destination_feature_channel_offset
    cdef object _source_feature_channel_offset
    cdef object _source_feature_channel_max_count
    cdef object _edge_mode
    cdef object _padding
    # None for the default.
    cdef object _destination_image_allocator
