/* Copies between matrices, as many as wanted in one dispatch. */
#import "matrix_copy.h"
#include <stdlib.h>

mpsrnn_status mcy_matrix_copies_create(size_t capacity, mcy_matrix_copies *out, mpsrnn_error *error)
{
    const mcy_matrix_copies none = { .items = capacity > 0 ? calloc(capacity, sizeof *out->items) : NULL };
    *out = none;
    return none.items || capacity == 0 ? MPSRNN_STATUS_OK
                                       : mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for %zu copies",
                                                  capacity);
}

void mcy_matrix_copies_add(mcy_matrix_copies *copies, const mcy_strided *from, const mcy_strided *to, uint32_t rows,
                           uint32_t columns)
{
    const mpsrnn_matrix_copy item = {
        .from = from->address,
        .to = to->address,
        .from_stride = from->stride,
        .to_stride = to->stride,
        .from_half = from->is_half,
        .to_half = to->is_half,
        .rows = rows,
        .columns = columns,
    };
    copies->items[copies->count++] = item;
    copies->rows = rows > copies->rows ? rows : copies->rows;
    copies->columns = columns > copies->columns ? columns : copies->columns;
}

mpsrnn_status mcy_matrix_copies_prepare(mcy_matrix_copies *copies, MCYDevice *device, mpsrnn_error *error)
{
    if (copies->count == 0) {
        return MPSRNN_STATUS_OK;
    }
    static const mcy_constants constants;
    mpsrnn_status status = mcy_device_pipeline(device, "copy_matrix", "copy_matrix", &constants, &copies->pipeline,
                                               error);
    if (status == MPSRNN_STATUS_OK) {
        status = mcy_buffer_create_with_bytes(device, copies->items, copies->count * sizeof *copies->items,
                                              &copies->table, error);
    }
    return status;
}

void mcy_matrix_copies_encode(const mcy_matrix_copies *copies, MCYCommand *command)
{
    if (copies->count > 0) {
        const uint32_t width = copies->columns / MPSRNN_COLUMNS_PER_THREAD
                             + (copies->columns % MPSRNN_COLUMNS_PER_THREAD != 0);
        [command->encoder setComputePipelineState:copies->pipeline];
        [command->encoder setBuffer:copies->table->metal offset:0 atIndex:MPSRNN_BUFFER_JOBS];
        mcy_command_dispatch(command, width, copies->rows, (uint32_t)copies->count);
    }
}

void mcy_matrix_copies_destroy(mcy_matrix_copies *copies)
{
    [copies->table release];
    free(copies->items);
}

/* ---- The contract's function ---- */

static mpsrnn_status check(const mpsrnn_matrix *from, const mpsrnn_matrix *to, MCYCommand *command,
                           mpsrnn_error *error)
{
    if (command->committed) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "the command buffer is already committed");
    }
    mpsrnn_status status = mcy_matrix_check(from, command->device, 0, from->columns, "source", 0, error);
    if (status == MPSRNN_STATUS_OK && from->columns == 0) {
        status = mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "a matrix of 0 columns");
    }
    return status == MPSRNN_STATUS_OK
               ? mcy_matrix_check(to, command->device, from->rows, from->columns, "destination", 0, error)
               : status;
}

static mpsrnn_status encode(MCYCommand *command, const mpsrnn_matrix *from, const mpsrnn_matrix *to,
                            mcy_matrix_copies *copies, mpsrnn_error *error)
{
    mpsrnn_status status = check(from, to, command, error);
    if (status == MPSRNN_STATUS_OK) {
        const mcy_strided source = mcy_matrix_strided(from), destination = mcy_matrix_strided(to);
        mcy_matrix_copies_add(copies, &source, &destination, from->rows, from->columns);
        status = mcy_matrix_copies_prepare(copies, command->device, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        status = mcy_command_open_encoder(command, MTLDispatchTypeSerial, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        mcy_memory_use(command->encoder, mcy_matrix_memory(from), NO);
        mcy_memory_use(command->encoder, mcy_matrix_memory(to), YES);
        mcy_matrix_copies_encode(copies, command);
    }
    return status;
}

mpsrnn_status mcy_command_copy_matrix(mpsrnn_command handle, const mpsrnn_matrix *from, const mpsrnn_matrix *to,
                                      mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    MCYCommand *command = (MCYCommand *)handle;
    mcy_matrix_copies copies;
    mpsrnn_status status = mcy_matrix_copies_create(1, &copies, error);
    if (status == MPSRNN_STATUS_OK) {
        pthread_mutex_lock(&command->lock);
        status = encode(command, from, to, &copies, error);
        pthread_mutex_unlock(&command->lock);
    }
    mcy_matrix_copies_destroy(&copies);
    [pool drain];
    return status;
}
