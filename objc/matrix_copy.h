/* Copies between matrices of either element type, as many as wanted in one dispatch. */
#ifndef MCY_MATRIX_COPY_H
#define MCY_MATRIX_COPY_H
#import "shim.h"

/* Rows of elements as a kernel reaches them. */
typedef struct {
    uint64_t address;
    uint32_t stride;                            /* in elements */
    BOOL is_half;
} mcy_strided;

static inline mcy_strided mcy_matrix_strided(const mpsrnn_matrix *matrix)
{
    const mcy_strided result = {
        mcy_memory_address(mcy_matrix_memory(matrix)), mcy_matrix_stride(matrix), matrix->data_type == MPSRNN_FLOAT16,
    };
    return result;
}

/* Made with room for a number of copies, filled, prepared, encoded and, whatever happened, destroyed. Once prepared,
 * encoding cannot fail. That the encoder uses the memory is up to the caller. */
typedef struct {
    mpsrnn_matrix_copy *items;
    size_t count;
    uint32_t rows, columns;                     /* of the largest */
    MCYBuffer *table;
    id<MTLComputePipelineState> pipeline;       /* owned by the device */
} mcy_matrix_copies;

mpsrnn_status mcy_matrix_copies_create(size_t capacity, mcy_matrix_copies *out, mpsrnn_error *error);
void mcy_matrix_copies_add(mcy_matrix_copies *copies, const mcy_strided *from, const mcy_strided *to, uint32_t rows,
                           uint32_t columns);
mpsrnn_status mcy_matrix_copies_prepare(mcy_matrix_copies *copies, MCYDevice *device, mpsrnn_error *error);
void mcy_matrix_copies_encode(const mcy_matrix_copies *copies, MCYCommand *command);
void mcy_matrix_copies_destroy(mcy_matrix_copies *copies);

mpsrnn_status mcy_command_copy_matrix(mpsrnn_command command, const mpsrnn_matrix *from, const mpsrnn_matrix *to,
                                      mpsrnn_error *error);

#endif
