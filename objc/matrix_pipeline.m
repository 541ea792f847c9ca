/* Which pipeline runs a cell over a sequence of matrices. */
#import "matrix_sequence.h"
#include <stdio.h>

uint32_t mcy_matrix_rows_per_thread(const mcy_matrix_sequence *q)
{
    return q->rows < MPSRNN_ROWS_PER_THREAD ? 1 : MPSRNN_ROWS_PER_THREAD;
}

/* What of a kernel follows from the sequence, as the number of a variant: see MCY_MATRIX_VARIANTS. */
enum {
    SOURCE_HALF = 1,
    HAS_DESTINATION = 2,
    DESTINATION_HALF = 4,
    ADDS = 8,
    KEEPS_SUMS = 16,
    SEVERAL_ROWS = 32,
    REDUCED_PRECISION = 64,
};

static int variant_of(const mcy_matrix_sequence *q, size_t layer)
{
    int variant = mcy_matrix_rows_per_thread(q) > 1 ? SEVERAL_ROWS : 0;
    if (layer == 0 && q->sources[0].data_type == MPSRNN_FLOAT16) {
        variant |= SOURCE_HALF;
    }
    if (layer + 1 == q->cell_count && q->destinations) {
        variant |= HAS_DESTINATION;
        variant |= q->destinations[0].data_type == MPSRNN_FLOAT16 ? DESTINATION_HALF : 0;
        variant |= q->addend ? ADDS : 0;
    }
    variant |= q->allows_reduced_precision ? REDUCED_PRECISION : 0;
    return variant | (q->records && q->records[0].sums.buffer ? KEEPS_SUMS : 0);
}

static mpsrnn_status compile_variant(const mcy_matrix_sequence *q, const mcy_cell *cell, int variant,
                                     id<MTLComputePipelineState> *out, mpsrnn_error *error)
{
    mcy_constants constants = cell->stages[0]->constants;
    if (cell->kind == MPSRNN_CELL_GRU) {
        constants.values[MPSRNN_CONSTANT_NEURON_2] = cell->stages[1]->constants.values[MPSRNN_CONSTANT_NEURON_0];
    }
    constants.values[MPSRNN_CONSTANT_SOURCE_HALF] = (variant & SOURCE_HALF) != 0;
    constants.values[MPSRNN_CONSTANT_HAS_DESTINATION] = (variant & HAS_DESTINATION) != 0;
    constants.values[MPSRNN_CONSTANT_DESTINATION_HALF] = (variant & DESTINATION_HALF) != 0;
    constants.values[MPSRNN_CONSTANT_ADDS] = (variant & ADDS) != 0;
    constants.values[MPSRNN_CONSTANT_REDUCED_PRECISION] = (variant & REDUCED_PRECISION) != 0;
    constants.values[MPSRNN_CONSTANT_KEEPS_SUMS] = (variant & KEEPS_SUMS) != 0;
    char library[32], name[64];
    snprintf(library, sizeof library, "matrix_%s", cell->library);
    snprintf(name, sizeof name, "%s_%s_%u", library, cell->stages[0]->float32_weights ? "float" : "half",
             mcy_matrix_rows_per_thread(q));
    return mcy_device_pipeline(q->device, library, name, &constants, out, error);
}

/* The cell knows it after the first time. Two threads may both find it out. */
mpsrnn_status mcy_matrix_pipeline(const mcy_matrix_sequence *q, size_t layer, id<MTLComputePipelineState> *out,
                                  mpsrnn_error *error)
{
    const mcy_cell *cell = q->cells[layer];
    const int variant = variant_of(q, layer);
    void **known = &cell->stages[0]->matrix_pipelines[variant];
    id<MTLComputePipelineState> pipeline = (id)__atomic_load_n(known, __ATOMIC_ACQUIRE);
    mpsrnn_status status = MPSRNN_STATUS_OK;
    if (!pipeline) {
        status = compile_variant(q, cell, variant, &pipeline, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        __atomic_store_n(known, (void *)pipeline, __ATOMIC_RELEASE);
        *out = pipeline;
    }
    return status;
}
