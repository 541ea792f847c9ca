from . cimport native


# Both take a native image, which the caller keeps alive, and what it looks like; they read, or if `writes` write.

# As `MPSImage.write_bytes`; `strides` are bytes per column, row and image, or None.
cdef move_bytes(
    native.mpsrnn_image handle,
    const native.mpsrnn_image_descriptor *image,
    data_bytes,
    data_layout,
    tuple strides,
    region,
    channel_info,
    image_index,
    bint writes,
)

# All images of a batch; an array of the right shape and dtype, which messages call `name`.
cdef move_pixels(
    native.mpsrnn_image handle, const native.mpsrnn_image_descriptor *image, array, name, bint writes
)
