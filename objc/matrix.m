/* Views of buffers: what has to hold before a kernel may follow them, and how it reaches them. */
#import "shim.h"

static BOOL lies_inside(const mpsrnn_matrix *m, size_t length)
{
    size_t rows, end;
    return !__builtin_mul_overflow((size_t)(m->rows - 1), m->row_bytes, &rows)
        && !__builtin_add_overflow(m->offset, rows, &end)
        && !__builtin_add_overflow(end, m->columns * mcy_element_size(m->data_type), &end) && end <= length;
}

mpsrnn_status mcy_matrix_check(const mpsrnn_matrix *m, MCYDevice *device, uint32_t rows, uint32_t columns,
                               const char *what, size_t index, mpsrnn_error *error)
{
    MCYBuffer *buffer = (MCYBuffer *)m->buffer;
    if (!buffer) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%s matrix %zu: absent", what, index);
    }
    if (buffer->device->metal != device->metal) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%s matrix %zu: of another device", what, index);
    }
    if (m->data_type != MPSRNN_FLOAT16 && m->data_type != MPSRNN_FLOAT32) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%s matrix %zu: data type %#x; float16 or float32 expected",
                        what, index, m->data_type);
    }
    if (m->rows == 0 || (rows != 0 && m->rows != rows) || m->columns != columns) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%s matrix %zu: %u x %u elements; %u rows (0: any but 0) "
                        "and %u columns expected", what, index, m->rows, m->columns, rows, columns);
    }
    const size_t element = mcy_element_size(m->data_type);
    if (m->offset % element != 0 || m->row_bytes % element != 0 || m->row_bytes / element > UINT32_MAX
        || m->row_bytes / element < m->columns) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%s matrix %zu: offset %zu and %zu bytes a row; multiples "
                        "of %zu expected, and rows of %u elements", what, index, m->offset, m->row_bytes, element,
                        m->columns);
    }
    if (!lies_inside(m, [buffer->metal length])) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%s matrix %zu: %u rows of %zu bytes from %zu on; the "
                        "buffer has %lu bytes", what, index, m->rows, m->row_bytes, m->offset,
                        (unsigned long)[buffer->metal length]);
    }
    return MPSRNN_STATUS_OK;
}

uint64_t mcy_memory_address(mcy_memory memory)
{
    return memory.buffer ? [memory.buffer gpuAddress] + memory.offset : 0;
}

void mcy_memory_use(id<MTLComputeCommandEncoder> encoder, mcy_memory memory, BOOL is_written)
{
    if (memory.buffer) {
        [encoder useResource:memory.buffer
                       usage:is_written ? MTLResourceUsageRead | MTLResourceUsageWrite : MTLResourceUsageRead];
    }
}
